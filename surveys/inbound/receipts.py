"""What providers report of messages they took: believed only when signed, stored as it comes, applied by others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hailong.ports import Clock, Receipt, Retryable
from surveys.records import Records


@dataclass(frozen=True)
class ReceiptDoor:
    """How one provider reports. ``verify(address, form, signature)``; ``parse(form)`` gives None for a status that says nothing new."""

    signature_header: str
    verify: Callable[[str, Mapping[str, str], str], bool]
    parse: Callable[[Mapping[str, str]], Receipt | None]


class Receipts:
    """``POST /receipts/{provider}``: 204 when stored, 403 unsigned, 404 unknown provider, 503 while the ledger is away."""

    def __init__(self, doors: Mapping[str, ReceiptDoor], records: Records, clock: Clock, public_url: str) -> None:
        self._doors = doors
        self._records = records
        self._clock = clock
        self._public_url = public_url.rstrip("/")

    async def take(self, request: Request) -> Response:
        door = self._doors.get(request.path_params["provider"])
        if door is None:
            raise HTTPException(404)
        async with request.form(max_files=0, max_fields=100) as sent:
            form = {name: value for name, value in sent.multi_items() if isinstance(value, str)}
        # Signed was the public address: behind a proxy the one seen here is another.
        query = f"?{request.url.query}" if request.url.query else ""
        address = f"{self._public_url}{request.url.path}{query}"
        if not door.verify(address, form, request.headers.get(door.signature_header, "")):
            raise HTTPException(403)
        receipt = door.parse(form)
        if receipt is not None and receipt.status != "sent":  # on its way says nothing that anybody acts on
            now = self._clock.now()
            try:
                await self._records.do(lambda tx: tx.store_receipt(receipt, now))
            except Retryable as away:
                raise HTTPException(503, headers={"Retry-After": str(max(1, round(away.after)))}) from None
        return Response(status_code=204)
