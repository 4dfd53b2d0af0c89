"""Addresses of servers, as URLs have them."""


def bracketed(host: str) -> str:
    """Returns a host as URLs have it: addresses of IPv6 stand in brackets."""
    return f"[{host}]" if ":" in host else host
