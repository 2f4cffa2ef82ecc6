"""What every page shows beside its content: who is looking, and a token for its forms."""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from fastapi.responses import HTMLResponse

from dicom_node.web.access import Person, Viewer
from dicom_node.web.forms import FormToken
from dicom_node.web.site import TheSite
from dicom_node.web.templating import render


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """One person looking at one page."""

    person: Person
    token: str
    signs_out: bool  # here, and not with a proxy

    def page(self, template: str, **values: Any) -> HTMLResponse:
        """A page as the answer to this request."""
        return render(template, look=self, **values)


def _look(site: TheSite, person: Viewer, token: FormToken) -> Look:
    return Look(person=person, token=token, signs_out=site.settings.sign_in == "accounts")


TheLook = Annotated[Look, Depends(_look)]
