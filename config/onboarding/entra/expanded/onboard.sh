#!/bin/sh
# Does with az alone what main.bicep does: the application, its trust in your cluster, and the expanded permission set of
# collection revision 2. Every permission reads and none writes. May be run again: what is there already is left as it is.
# Generated from the connector's manifest; the values of your cluster come from values.sh and federated-credential.json.
#
# Sign in first as somebody who may create applications and grant application permissions of Microsoft Graph:
#   az login --tenant TENANT --allow-no-subscriptions
set -eu
cd "$(dirname "$0")"
. ./values.sh

graph_app=00000003-0000-0000-c000-000000000000
permissions='
Application.Read.All
User.Read.All
RoleManagement.Read.Directory
Organization.Read.All
GroupMember.Read.All
AuditLog.Read.All
AgentIdentity.Read.All
AgentIdentityBlueprint.Read.All
Directory.Read.All
Policy.Read.All
'

stop() { echo "$1" >&2; exit 1; }

[ "$(az cloud show --query name --output tsv)" = "$SV0_CLOUD" ] || stop "run az cloud set --name $SV0_CLOUD first"
[ "$(az account show --query tenantId --output tsv)" = "$SV0_TENANT" ] ||
  stop "signed in to another tenant: run az login --tenant $SV0_TENANT --allow-no-subscriptions"

app=$SV0_CLIENT
if [ -z "$app" ]; then
  app=$(az ad app list --filter "uniqueName eq '$SV0_UNIQUE_NAME'" --query '[0].appId' --output tsv)
fi
if [ -z "$app" ]; then
  app=$(az ad app create --display-name "$SV0_DISPLAY_NAME" --sign-in-audience "$SV0_SIGN_IN_AUDIENCE" --query appId --output tsv)
  object=$(az ad app show --id "$app" --query id --output tsv)
  # A name that finds the same application when this script runs again.
  az rest --method PATCH --url "$SV0_GRAPH/v1.0/applications/$object" \
    --headers Content-Type=application/json --body @application.json --output none
fi
principal=$(az ad sp list --filter "appId eq '$app'" --query '[0].id' --output tsv)
if [ -z "$principal" ]; then
  principal=$(az ad sp create --id "$app" --query id --output tsv)
fi

if [ -f federated-credential.json ]; then
  known=$(az ad app federated-credential list --id "$app" --query "[?name=='securityv0-scan'].id | [0]" --output tsv)
  if [ -n "$known" ]; then
    az ad app federated-credential update --id "$app" --federated-credential-id "$known" \
      --parameters @federated-credential.json --output none
  else
    az ad app federated-credential create --id "$app" --parameters @federated-credential.json --output none
  fi
fi

graph=$(az ad sp show --id "$graph_app" --query id --output tsv)
missing=
for permission in $permissions; do
  role=$(az ad sp show --id "$graph_app" --output tsv \
    --query "appRoles[?value=='$permission' && contains(allowedMemberTypes, 'Application')].id | [0]")
  if [ -z "$role" ]; then
    missing="$missing $permission"
    continue
  fi
  held=$(az rest --method GET --url "$SV0_GRAPH/v1.0/servicePrincipals/$principal/appRoleAssignments" \
    --query "value[?appRoleId=='$role'].id | [0]" --output tsv)
  [ -z "$held" ] || continue
  # Listed on the application, so that another tenant's consent asks for the same; granted in this tenant.
  az ad app permission add --id "$app" --api "$graph_app" --api-permissions "$role=Role" --output none --only-show-errors
  az rest --method POST --url "$SV0_GRAPH/v1.0/servicePrincipals/$graph/appRoleAssignedTo" \
    --headers Content-Type=application/json --output none \
    --body "{\"principalId\":\"$principal\",\"resourceId\":\"$graph\",\"appRoleId\":\"$role\"}"
done

[ -z "$missing" ] || echo "this tenant does not offer:$missing. Coverage will say what that costs." >&2
echo "application (client) ID: $app"
