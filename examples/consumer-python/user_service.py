"""Reads all users from user_service, page by page."""

import json
import re
import urllib.request

PAGE = 1000  # the most that user_service gives at once


def read_all_users(url, token=None):
    """`token`: of an administrator; needed with USER_SERVICE_ACCESS=owner."""
    users, path = [], f"/users?limit={PAGE}"
    while path:
        request = urllib.request.Request(url + path)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            users += json.load(answer)
            following = re.match(r"<([^>]*)>; rel=\"next\"", answer.headers.get("Link", ""))
            path = following and following[1]
    return users
