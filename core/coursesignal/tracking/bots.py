"""Crawlers by what they call themselves. Command-line clients and headless browsers count as visitors: people test with them."""

from __future__ import annotations

import re
from functools import lru_cache

_CRAWLER = re.compile(
    r"(?<!cu)bot(?:[^a-z]|$)|bots(?:[^a-z]|$)|crawl|spider|slurp|mediapartners|adsbot|feedfetcher|facebookexternalhit|facebot|"
    r"ia_archiver|archive\.org|bingpreview|google-inspectiontool|googleother|google-read-aloud|storebot|apis-google|"
    r"lighthouse|pagespeed|gtmetrix|pingdom|uptime|statuscake|site24x7|newrelicpinger|datadog|monitor(?:ing)?[/ ]|"
    r"^whatsapp/|telegrambot|slackbot|discordbot|twitterbot|linkedinbot|skypeuripreview|embedly|quora link preview|"
    r"screaming frog|semrush|ahrefs|mj12|dotbot|petalbot|bytespider|gptbot|chatgpt-user|claudebot|perplexitybot|ccbot|amazonbot|"
    r"applebot|yandex\.com/bots|baiduspider|sogou web|validator|scrapy|phantomjs|zgrab|masscan|nmap|nikto|sqlmap",
    re.IGNORECASE,
)
_MAX_LENGTH = 512


@lru_cache(maxsize=4096)
def is_bot(user_agent: str) -> bool:
    """Whether the user agent names itself a crawler, a link preview or a monitor; an empty one does not."""
    return bool(_CRAWLER.search(user_agent[:_MAX_LENGTH]))
