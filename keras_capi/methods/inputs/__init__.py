"""What goes into a step of the methods: checks of it, and what is drawn."""

__all__: list[str] = []
