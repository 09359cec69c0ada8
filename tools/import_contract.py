"""The import contract's second half: other rooms enter a room by its doors alone. ``lint-imports`` runs it."""

from typing import Any

from importlinter import Contract, ContractCheck, output


class DoorsContract(Contract):
    """Check that an import from another room names a package, whose ``__init__`` is a door, and never a file inside.

    A room is what lies directly in the package. A room that is a single file is its own door, and so is every file of
    ``system``: they have nothing in common, and a door of all of them would load YAML, HTTP and progress bars for each.
    """

    type_name = "doors"

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        found = []
        for importer in sorted(graph.modules):
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                if (
                    _room(importer)
                    and _room(imported) not in (None, "system", _room(importer))
                    and not _is_door(graph, imported)
                ):
                    found += graph.get_import_details(importer=importer, imported=imported)
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for detail in check.metadata["found"]:
            place = f"{detail['importer']}, line {detail['line_number']}"
            output.print_error(f"{place}: {detail['line_contents']}: import it from {_door(detail['imported'])}")


def _room(module: str) -> str | None:
    """The room that a module is in, None for the package itself and for modules of others."""
    package, _, rest = module.partition(".")
    return rest.split(".")[0] or None if package == "maskadapter" else None


def _is_door(graph: Any, module: str) -> bool:
    return module.count(".") == 1 or bool(graph.find_children(module))


def _door(module: str) -> str:
    return module.rpartition(".")[0]
