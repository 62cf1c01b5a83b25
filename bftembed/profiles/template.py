"""Prompt templates: text files with a [system], a [user] and a [facts] section, identified by their digest."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from bftembed._unicode import writable
from bftembed.engines import Request
from bftembed.errors import TemplateError

if TYPE_CHECKING:
    from bftembed.profiles.entity import Entity

_SECTION = re.compile(r"^\[(\w+)\]\n", re.MULTILINE)
_PLACES = {"system": set(), "user": {"id", "facts"}, "facts": {"id", "items", "values"}}


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """A parsed template.

    ``$id`` in the user section is the entity's name; ``$facts`` is the facts section, or nothing where the entity has
    no facts. In the facts section, ``$id`` is the name again, ``$items`` one line ``- name: value`` for each fact,
    ``$values`` the values as running text. ``$$`` is a dollar sign.

    Examples
    --------
    >>> from bftembed.profiles import Entity, load_template
    >>> template = load_template("annotation")
    >>> template.render(Entity("gene", "TP53", {"full name": "tumor protein p53"})).user
    'TP53. tumor protein p53.'
    """

    name: str
    system: str
    user: str
    facts: str
    digest: str

    def render(self, entity: Entity) -> Request:
        """Fill in one entity."""
        facts = ""
        if entity.facts:
            items = "\n".join(f"- {name.replace('_', ' ')}: {value}" for name, value in entity.facts.items())
            values = " ".join(
                value if value.endswith((".", "!", "?")) else f"{value}." for value in entity.facts.values()
            )
            facts = Template(self.facts).substitute(id=entity.id, items=items, values=values)
        user = Template(self.user).substitute(id=entity.id, facts=facts)
        return Request(entity.id, writable(user), self.system)


def load_template(template: str | Path) -> PromptTemplate:
    """Read a template.

    Parameters
    ----------
    template
        Name of one that is shipped (``gene``, ``cell``, ``cluster``, ``drug``, ``perturbation``, ``gene_set``,
        ``annotation``, ``annotation_of_genes``), or path of a file of the user's own.

    Raises
    ------
    TemplateError
        If there is none, a section is missing or unknown, or a placeholder is unknown.

    Examples
    --------
    >>> from bftembed.profiles import Entity, load_template
    >>> "TP53" in load_template("gene").render(Entity("gene", "TP53")).user
    True
    """
    shipped = files("bftembed.profiles") / "templates" / f"{template}.txt"
    path = Path(template).expanduser()
    if re.fullmatch(r"\w+", str(template)) and shipped.is_file():
        return parse_template(shipped.read_text(encoding="utf-8"), name=str(template))
    if not path.is_file():
        names = sorted(entry.name[:-4] for entry in (files("bftembed.profiles") / "templates").iterdir())
        msg = f"There is no template `{template}`: no such file, and the shipped ones are {', '.join(names)}."
        raise TemplateError(msg)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"The template `{path}` cannot be read as UTF-8 text ({error})."
        raise TemplateError(msg) from error
    return parse_template(text, name=path.stem)


def parse_template(text: str, *, name: str) -> PromptTemplate:
    """Split the text of a template into its sections and check its placeholders."""
    parts = _SECTION.split(text)
    if parts[0].strip():
        msg = f"Template `{name}`: text before the first section; start the file with `[system]` or `[user]`."
        raise TemplateError(msg)
    sections = {key: body.rstrip("\n") for key, body in zip(parts[1::2], parts[2::2], strict=True)}
    if unknown := sections.keys() - _PLACES.keys():
        msg = f"Template `{name}`: unknown section {sorted(unknown)}; the sections are [system], [user] and [facts]."
        raise TemplateError(msg)
    for section, body in sections.items():
        parsed = Template(body)
        wrong = set(parsed.get_identifiers()) - _PLACES[section]
        if not parsed.is_valid() or wrong:
            known = ", ".join(f"${place}" for place in sorted(_PLACES[section])) or "none"
            msg = (
                f"Template `{name}`, section [{section}]: bad placeholder {sorted(wrong)}; known are {known} ($$ is $)."
            )
            raise TemplateError(msg)
    user = sections.get("user", "")
    if not {"id", "facts"} & set(Template(user).get_identifiers()):
        msg = f"Template `{name}`: the [user] section uses neither $id nor $facts, so every prompt would be the same."
        raise TemplateError(msg)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return PromptTemplate(name, sections.get("system", "").strip(), user.strip(), sections.get("facts", ""), digest)
