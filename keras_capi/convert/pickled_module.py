"""Reads the tensors of networks pickled as a whole, such as DALL-E's."""

import re

# Modules of the classes in such files. Their code is neither needed nor run.
MODULES = re.compile(
    r"dall_e\.(encoder|decoder|utils) \w+"
    r"|torch\.nn\.modules\.(container Sequential|activation ReLU"
    r"|pooling MaxPool2d|linear Identity|upsampling Upsample)"
)


class PickledModule(dict):
    """Stands in for a module: a dictionary of its tensors and submodules."""

    def __setstate__(self, state):
        """Takes the contents of the module."""
        self.update(state["_parameters"])
        self.update(state["_modules"])
