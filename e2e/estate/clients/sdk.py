"""Reads Graph with Microsoft's own SDK (msgraph-sdk), unchanged: sign-in, typed lists, paging, owners.

The SDK is large, so it has requirements of its own; see ../README.md.
"""

import asyncio
import json
import os
import sys

import names

names.install()

from azure.identity import ClientSecretCredential  # noqa: E402
from msgraph import GraphServiceClient  # noqa: E402


async def every(builder):
    """All rows of a list, page by page."""
    page = await builder.get()
    rows, pages = list(page.value), 1
    while page.odata_next_link:
        page = await builder.with_url(page.odata_next_link).get()
        rows += page.value
        pages += 1
    return rows, pages


async def main():
    credential = ClientSecretCredential(os.environ["ESTATE_TENANT"], os.environ["ESTATE_CLIENT"], os.environ["ESTATE_SECRET"])
    client = GraphServiceClient(credential, scopes=["https://graph.microsoft.com/.default"])
    organisation = await client.organization.get()
    applications, application_pages = await every(client.applications)
    principals, _ = await every(client.service_principals)
    owners = 0
    for application in applications:
        found, _ = await every(client.applications.by_application_id(application.id).owners)
        owners += len(found)
    json.dump(
        {
            "organisation": organisation.value[0].id,
            "applications": len({row.id for row in applications}),
            "applicationPages": application_pages,
            "servicePrincipals": len({row.id for row in principals}),
            "owners": owners,
        },
        sys.stdout,
    )


asyncio.run(main())
