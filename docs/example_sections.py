"""For mkdocstrings: this project's docstrings say `Example:`, the parser knows `Examples:` as code."""

import griffe


class ExampleSections(griffe.Extension):
    """Renames the section while the documentation is built."""

    def on_object(self, *, obj: griffe.Object, **kwargs) -> None:
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("Example:\n", "Examples:\n")
