"""The tracker script: its file, the snippet that loads it, and where to paste that."""

from __future__ import annotations

import gzip
import hashlib
from html import escape
from pathlib import Path

from coursesignal.errors import ConfigurationError
from coursesignal.tracking.schemas import Instructions, SiteOut


def _built() -> bytes:
    """What the build made of static/t.js."""
    try:
        return (Path(__file__).parent / "static" / "t.min.js").read_bytes()
    except FileNotFoundError:
        raise ConfigurationError("The tracker is not built: run `pip install -e .` in the source tree.") from None


TRACKER = _built()
TRACKER_GZIPPED = gzip.compress(TRACKER, 9, mtime=0)
ETAG = f'"{hashlib.sha256(TRACKER).hexdigest()[:32]}"'
CACHE_CONTROL = "public, max-age=3600, stale-while-revalidate=86400"


def script_url(base_url: str) -> str:
    """Where the script is served."""
    return f"{base_url}/t.js"


def snippet(base_url: str, site: SiteOut) -> str:
    """The one line a creator pastes."""
    said = flags(site.consent_first, site.cookieless, site.outbound_links, site.form_emails)
    return f'<script async src="{escape(script_url(base_url))}" data-site="{escape(site.site_key)}"{said}></script>'


def flags(consent_first: bool, cookieless: bool, outbound_links: bool, form_emails: bool) -> str:
    """The attributes that tell the tracker a site's settings, each with a space before it."""
    told = {
        "data-consent": consent_first,
        "data-cookieless": cookieless,
        "data-outbound": outbound_links,
        "data-forms": form_emails,
    }
    return "".join(f" {name}" for name, is_set in told.items() if is_set)


INSTRUCTIONS = Instructions(
    kajabi=(
        "1. In Kajabi, open Settings, then Site details (on some plans: Website, then Settings).\n"
        "2. Scroll to Page scripts and paste the snippet into Header page scripts.\n"
        "3. Save. The script now runs on your landing pages, blog, course pages and checkouts.\n"
        "4. If a checkout or landing page uses its own code box, paste the snippet there too.\n"
        "5. Open your site in a new tab and come back here: the status changes to Receiving within a few seconds."
    ),
    teachable=(
        "1. In Teachable, open your school's admin and choose Site, then Code snippets.\n"
        "2. Paste the snippet into Head: it then runs on your school's pages, sales pages and checkout.\n"
        "3. Save.\n"
        "4. If you sell from a website of your own as well, paste the same snippet there, before </head>, "
        "and add both domains to the website's linked hosts.\n"
        "5. Open your school in a new tab and come back here: the status changes to Receiving within a few seconds."
    ),
    general=(
        "1. Paste the snippet into every page of your website, just before </head>. "
        "In WordPress, Webflow, Squarespace or Wix this is the box called header code or custom code.\n"
        "2. Use the same snippet on your blog, your landing pages and your checkout. When one of them is on another domain, "
        "add that domain to the website's linked hosts: links there then take the visitor along.\n"
        "3. Where somebody gives you their e-mail address, call CourseSignal.identify(email), "
        "or turn on form e-mails: the sale then finds its way back to the visit.\n"
        '4. For something else worth counting call CourseSignal.track("watched-webinar", {minutes: 42}).\n'
        "5. Open your website in a new tab and come back here: the status changes to Receiving within a few seconds."
    ),
)
