"""Show the constructors that attrs makes in the API reference, made of the source alone."""

from typing import Any

from griffe import Attribute, Class, Extension, Function, Parameter, ParameterKind, Parameters

MAKERS = ("attrs.frozen", "attrs.define", "attrs.mutable")


class AttrsConstructors(Extension):
    """Gives each class of attrs an `__init__` with its public fields."""

    def on_class(self, *, cls: Class, **_: Any) -> None:
        """Add the constructor, unless the class has one."""
        if "__init__" in cls.members or not any(
            each.callable_path in MAKERS for each in cls.decorators
        ):
            return
        fields = [
            each
            for each in cls.members.values()
            if isinstance(each, Attribute) and "instance-attribute" in each.labels
        ]
        parameters = [_parameter(each) for each in fields if not each.is_private]
        made = Function("__init__", parameters=Parameters(*filter(None, parameters)))
        made.returns = "None"
        cls.set_member("__init__", made)


def _parameter(field: Attribute) -> Parameter | None:
    """Return the parameter that sets a field, None if it is none of the constructor's."""
    value = "" if field.value is None else str(field.value)
    if field.annotation is None or "init=False" in value:
        return None
    default = value or None
    if value.startswith("field("):
        default = "..." if "default=" in value or "factory=" in value else None
    return Parameter(
        field.name,
        annotation=field.annotation,
        kind=ParameterKind.positional_or_keyword,
        default=default,
    )
