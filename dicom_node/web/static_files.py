"""What every page needs and anybody may have: style and icon."""

from fastapi import APIRouter
from fastapi.responses import Response

from dicom_node.web.templating import static_file, style

router = APIRouter(include_in_schema=False)


@router.get("/static/pages.css")
def style_sheet() -> Response:
    """The style of every page."""
    return Response(style(), media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@router.get("/static/icon.svg")
def icon() -> Response:
    """The sign in the browser's tab."""
    return Response(static_file("icon.svg"), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})
