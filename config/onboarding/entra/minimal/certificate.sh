#!/bin/sh
# Makes a key and a certificate, gives the certificate to the application and the key to your cluster, and to nobody else.
# The key is made in a directory of its own, readable by you alone, and removed at the end. It goes nowhere but into the
# Secret that values.sh names. Run onboard.sh or deploy main.bicep first, then `kubectl sv0 onboard entra` once more with
# --client-id, so that values.sh knows the application.
set -eu
cd "$(dirname "$0")"
. ./values.sh

[ -n "$SV0_CLIENT" ] || { echo "values.sh names no application: run kubectl sv0 onboard entra again with --client-id" >&2; exit 1; }
umask 077
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# 180 days: the instance's status warns 30 days before the end. Run this again then; certificates that stand are kept.
openssl req -x509 -newkey rsa:3072 -sha256 -days 180 -nodes -subj "/CN=$SV0_UNIQUE_NAME" \
  -keyout "$work/tls.key" -out "$work/tls.crt" 2>/dev/null
az ad app credential reset --id "$SV0_CLIENT" --append --cert "@$work/tls.crt" --display-name 'SecurityV0 scan' --output none
kubectl create secret generic "$SV0_SECRET" --namespace "$SV0_NAMESPACE" --dry-run=client --output yaml \
  --from-file="tls.crt=$work/tls.crt" --from-file="tls.key=$work/tls.key" --from-literal="target=$SV0_TENANT" |
  kubectl apply --server-side --force-conflicts --filename -
echo "certificate registered; the key is in the Secret $SV0_SECRET of the namespace $SV0_NAMESPACE"
