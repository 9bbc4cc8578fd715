"""`python -m contracts`: write the two files anew."""

from contracts import asyncapi, page

asyncapi.FILE.write_text(asyncapi.text(), encoding="utf-8")
page.FILE.write_text(page.page(), encoding="utf-8")
