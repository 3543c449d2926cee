"""Puts a called method in the place of its call: a return of the method goes on after the call, or decides there."""

from __future__ import annotations

from dataclasses import replace

from inspection.outline import Block, Branch, End, Loop, Node, Step


class InnerReturn(ValueError):
    """A return from a place that no rearranging of branches reaches."""

    def __init__(self, line: int) -> None:
        self.line = line
        super().__init__(f"return at line {line}")


def without_returns(block: Block) -> Block:
    """The same without returns: what a branch with a return passes by becomes the other branch.

    Raises: InnerReturn for a return in a loop, or in but a part of a branch.
    """
    done: list[Node] = []
    for place, node in enumerate(block):
        rest = block[place + 1 :]
        if isinstance(node, End) and node.kind == "return":
            return tuple(done)
        if isinstance(node, Loop) and (line := _return_line(node.body)):
            raise InnerReturn(line)
        if isinstance(node, Branch) and (line := _return_line((node,))):
            if returns(node.then):
                return (*done, _rearranged(node, node.then, node.otherwise + rest))
            if returns(node.otherwise):
                return (*done, _rearranged(node, node.then + rest, node.otherwise))
            if rest:
                raise InnerReturn(line)
            return (*done, _rearranged(node, node.then, node.otherwise))
        done.append(node)
    return tuple(done)


def decision(block: Block) -> Block | None:
    """The body of a method that is asked yes or no, with the answer at each of its ways out; its end means no.

    None if some answer is not written out or is given in a loop, and where there is just one way out.
    """
    if not any(isinstance(node, Branch) and _return_line((node,)) for node in block):
        return None
    told = _answering(block)
    if told is None or returns(told):
        return told
    return (*told, End(0, "return", "no"))


def _answering(block: Block) -> Block | None:
    done: list[Node] = []
    for node in block:
        match node:
            case End(kind="return", answer=None):
                return None
            case End(kind="return", answer="step", line=line):
                asks = done.pop() if done else None
                if not isinstance(asks, Step) or asks.verb != "happened":
                    return None
                yes, no = (End(line, "return", "yes"),), (End(line, "return", "no"),)
                done.append(Branch(line, "", asks, False, yes, no))
            case Branch():
                then, otherwise = _answering(node.then), _answering(node.otherwise)
                if then is None or otherwise is None:
                    return None
                done.append(replace(node, then=then, otherwise=otherwise))
            case Loop() if _return_line(node.body):
                return None
            case _:
                done.append(node)
    return tuple(done)


def returns(block: Block) -> bool:
    """Whether nothing that stands behind the block in its method is ever come to."""
    return any(ends(node) for node in block)


def ends(node: Node) -> bool:
    """Whether nothing that stands behind the node in its block is ever come to."""
    if isinstance(node, Branch):
        return returns(node.then) and returns(node.otherwise)
    return isinstance(node, End) or (isinstance(node, Step) and node.verb == "finish")


def _rearranged(branch: Branch, then: Block, otherwise: Block) -> Branch:
    return replace(branch, then=without_returns(then), otherwise=without_returns(otherwise))


def _return_line(block: Block) -> int | None:
    for node in block:
        if isinstance(node, End) and node.kind == "return":
            return node.line
        inner: Block = ()
        if isinstance(node, Branch):
            inner = node.then + node.otherwise
        elif isinstance(node, Loop):
            inner = node.body
        if line := _return_line(inner):
            return line
    return None
