"""What a name in a flow's source stands for, where that is written down once. Nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inspection.loop_keys import LoopKeys
from inspection.verb_calls import Method, argument, verb_of


def constants_of(module: ast.Module) -> dict[str, ast.expr]:
    """What the module's own names stand for, of those that are assigned once, outside of any class or function."""
    return _assigned_once(module, module.body)


@dataclass(frozen=True)
class Names:
    """The names that a place in the source can see: of its method, and of the module around it."""

    of_module: Mapping[str, ast.expr]
    of_method: Mapping[str, ast.expr] = field(default_factory=dict)
    bound: frozenset[str] = frozenset()
    """All that the method binds: what it binds more than once stands for nothing that is written down."""

    def inside(self, method: Method) -> Names:
        """The names as the body of a method sees them."""
        given = {node.arg for node in ast.walk(method.args) if isinstance(node, ast.arg)}
        stored = {node.id for node in ast.walk(method) if isinstance(node, ast.Name) and _is_stored(node)}
        once = _assigned_once(method, list(ast.walk(method)))
        of_method = {name: value for name, value in once.items() if name not in given}
        return Names(self.of_module, of_method, frozenset(stored | given))

    def meant(self, node: ast.expr | None) -> ast.expr | None:
        """What a name stands for, or the node itself if it is none or that is not known."""
        for _ in range(5):
            if not isinstance(node, ast.Name):
                return node
            names = self.of_method if node.id in self.bound else self.of_module
            if node.id not in names:
                return node
            node = names[node.id]
        return node

    def texts(self, node: ast.expr | None) -> tuple[str, ...] | None:
        """The texts of a tuple or list; None if they are not written down."""
        meant = self.meant(node)
        if not isinstance(meant, ast.Tuple | ast.List):
            return None
        texts = [text.value for text in meant.elts if isinstance(text, ast.Constant) and isinstance(text.value, str)]
        return tuple(texts) if len(texts) == len(meant.elts) else None

    def words_for(self, part: ast.expr, loops: Sequence[LoopKeys]) -> tuple[str, ...] | None:
        """What a computed part of a message may be: a loop's key, or what `choose` answered."""
        if not isinstance(part, ast.Name):
            return None
        for loop in loops:
            if loop.target == part.id:
                return loop.values
        match self.meant(part):
            case ast.Await(value=ast.Call() as call) if verb_of(call) == "choose":
                return self.texts(argument(call, "choose", "among"))
        return None


def _assigned_once(scope: ast.AST, statements: Sequence[ast.AST]) -> dict[str, ast.expr]:
    stored = [node.id for node in ast.walk(scope) if isinstance(node, ast.Name) and _is_stored(node)]
    found: dict[str, ast.expr] = {}
    for statement in statements:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value)
            ) if stored.count(name) == 1:
                found[name] = value
    return found


def _is_stored(name: ast.Name) -> bool:
    return not isinstance(name.ctx, ast.Load)
