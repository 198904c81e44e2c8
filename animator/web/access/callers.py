"""Callers: who sends a request, and what of others they may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request


@dataclass(frozen=True)
class Caller:
    """Who sends a request.

    Attributes:
        name: of the token, which is also the owner of what is made with it; empty without one.
        sees_all: whether what others own is shown, too.
        address: where the request comes from.
    """

    name: str = ""
    sees_all: bool = True
    address: str = ""

    def may_see(self, owner: str) -> bool:
        """Whether what somebody owns is this caller's to see and to change."""
        return self.sees_all or owner == self.name

    @property
    def counted_as(self) -> str:
        """Under which name requests are counted: the token's, or else the address."""
        return self.name or self.address


async def get_caller(request: Request) -> Caller:
    """The caller that the guard has found; a coroutine, as FastAPI takes a thread for functions."""
    caller: Caller = request.state.caller
    return caller


Who = Annotated[Caller, Depends(get_caller)]
