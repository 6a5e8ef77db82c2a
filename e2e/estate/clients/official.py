"""Signs in with azure-identity, by secret, certificate, federated assertion and managed identity, and reads Graph with plain requests.

Prints one JSON object; the test that runs this compares it with the estate.
"""

import json
import os
import re
import sys

import names

names.install()

import requests  # noqa: E402
from azure.core.exceptions import ClientAuthenticationError  # noqa: E402
from azure.identity import (  # noqa: E402
    CertificateCredential,
    ClientAssertionCredential,
    ClientSecretCredential,
    ManagedIdentityCredential,
)

SCOPE = "https://graph.microsoft.com/.default"
GRAPH = "https://graph.microsoft.com/v1.0"
TENANT = os.environ["ESTATE_TENANT"]
CLIENT = os.environ["ESTATE_CLIENT"]


def refusal(credential):
    """The vendor's code, as the client library reports it."""
    try:
        credential.get_token(SCOPE)
    except ClientAuthenticationError as error:
        found = re.search(r"AADSTS\d+", error.message)
        return found.group() if found else error.message
    except ValueError as error:  # the library refuses an unknown tenant while reading its discovery document
        return f"ValueError: {str(error).splitlines()[0][:60]}"
    return "accepted"


def pages(http, path):
    """All rows of a list."""
    url, rows, count = f"{GRAPH}/{path}", [], 0
    while url:
        answer = http.get(url, timeout=30)
        answer.raise_for_status()
        body = answer.json()
        rows += body["value"]
        count += 1
        url = body.get("@odata.nextLink")
    return rows, count


def organisation_seen_by(credential):
    """What the credential's token lets Graph say: the tenant's id."""
    http = requests.Session()
    http.headers["Authorization"] = f"Bearer {credential.get_token(SCOPE).token}"
    rows, _ = pages(http, "organization")
    return rows[0]["id"]


def main():
    certificate = os.environ["ESTATE_CERTIFICATE"]
    by_certificate = CertificateCredential(TENANT, CLIENT, certificate_path=certificate)
    by_chain = CertificateCredential(TENANT, CLIENT, certificate_path=certificate, send_certificate_chain=True)
    by_identity = ManagedIdentityCredential(client_id=os.environ["ESTATE_IDENTITY"])
    stranger = CertificateCredential(TENANT, CLIENT, certificate_path=os.environ["ESTATE_OTHER_CERTIFICATE"])
    by_secret = ClientSecretCredential(TENANT, CLIENT, os.environ["ESTATE_SECRET"])
    by_assertion = ClientAssertionCredential(TENANT, CLIENT, func=lambda: os.environ["ESTATE_ASSERTION"])
    http = requests.Session()
    http.headers["Authorization"] = f"Bearer {by_assertion.get_token(SCOPE).token}"
    organisation, _ = pages(http, "organization")
    http.headers["Authorization"] = f"Bearer {by_secret.get_token(SCOPE).token}"
    applications, application_pages = pages(http, "applications?$select=id,appId,displayName&$top=999")
    principals, _ = pages(http, "servicePrincipals?$select=id,appId,servicePrincipalType&$top=999")
    expanded, _ = pages(http, "applications?$select=id&$expand=owners($select=id,accountEnabled)&$top=250")
    parts = [{"id": str(n), "method": "GET", "url": f"/applications/{row['id']}/owners?$select=id"} for n, row in enumerate(applications[:20])]
    batch = http.post(f"{GRAPH}/$batch", json={"requests": parts}, timeout=30).json()["responses"]
    json.dump(
        {
            "organisation": organisation[0]["id"],
            "applications": len({row["id"] for row in applications}),
            "applicationPages": application_pages,
            "servicePrincipals": len({row["id"] for row in principals}),
            "owners": sum(len(row["owners"]) for row in expanded),
            "batch": sorted({part["status"] for part in batch}),
            "batchParts": len(batch),
            "byCertificate": organisation_seen_by(by_certificate),
            "byChain": organisation_seen_by(by_chain),
            "byManagedIdentity": organisation_seen_by(by_identity),
            "wrongCertificate": refusal(stranger),
            "wrongSecret": refusal(ClientSecretCredential(TENANT, CLIENT, "wrong")),
            "wrongTenant": refusal(ClientSecretCredential("99999999-1111-4222-8333-944455566677", CLIENT, "wrong")),
            "wrongAssertion": refusal(ClientAssertionCredential(TENANT, CLIENT, func=lambda: "no.token.here")),
        },
        sys.stdout,
    )


main()
