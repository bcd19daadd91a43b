"""What no schema can say and a caller knows: a key is new for each request, a page begins where one has ended, and two
parameters fit each other. A case is changed only where it is meant to be taken; one that is meant to be refused is sent as
it is."""

import datetime
import re
import uuid

import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode

# The years of which a day may be are said by a pattern; generators that look at the format alone would rarely meet it.
DAYS = st.dates(min_value=datetime.date(1970, 1, 1), max_value=datetime.date(2199, 12, 31))
schemathesis.openapi.format("date", DAYS.map(str))
MOMENTS = st.datetimes(min_value=datetime.datetime(1970, 1, 1), max_value=datetime.datetime(2199, 12, 31))
schemathesis.openapi.format("date-time", MOMENTS.map(lambda at: at.strftime("%Y-%m-%dT%H:%M:%SZ")))

SPANS = [("from", "to"), ("created_from", "created_to"), ("expires_from", "expires_to"), ("decided_from", "decided_to")]


@schemathesis.hook
def before_call(context, case, kwargs):
    """Makes a case that is meant to be taken one that can be."""
    headers = case.headers or {}
    # The same key with another request is refused, whatever the request is.
    if re.fullmatch("[!-~]([ -~]*[!-~])?", str(headers.get("Idempotency-Key", ""))):
        if not headers["Idempotency-Key"].startswith("form:"):
            headers["Idempotency-Key"] = str(uuid.uuid4())
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    query = case.query or {}
    # Nobody can make up where a page ended.
    query.pop("after", None)
    for first, last in SPANS:
        if query.get(first) and query.get(last) and str(query[first]) > str(query[last]):
            query[first], query[last] = query[last], query[first]
    # How many digits an amount has is a matter of the currency, and points have none.
    for bound in ("value_min", "value_max"):
        if bound in query:
            query[bound] = str(query[bound]).split(".")[0][:9]
    # The columns of the journal are those of its layout, and accounting programs read CSV.
    if case.path.endswith("/exports/journal"):
        query.pop("columns", None)
        if query.get("layout", "generic") not in ("", "generic"):
            query.pop("format", None)
