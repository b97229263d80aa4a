"""Networks that were pickled whole, as DALL-E's: read for their tensors."""

import re

# Whose classes are in such files. Code of theirs is neither needed nor run.
MODULES = re.compile(
    r"dall_e\.(encoder|decoder|utils) \w+"
    r"|torch\.nn\.modules\.(container Sequential|activation ReLU"
    r"|pooling MaxPool2d|linear Identity|upsampling Upsample)"
)


class PickledModule(dict):
    """Stands for a module: a dictionary of its tensors and its parts."""

    def __setstate__(self, state):
        """Takes what the module held."""
        self.update(state["_parameters"])
        self.update(state["_modules"])
