// SecurityV0 reads Microsoft Entra ID with this application: the expanded permission set of collection revision 2.
// Every permission reads and none writes. Generated from the connector's manifest: do not edit, deploy it with
// main.bicepparam, which `kubectl sv0 onboard entra` writes for your cluster.
//
// Deploying needs an Azure resource group (any: nothing is created in it) and somebody who may create applications and
// grant application permissions of Microsoft Graph (Privileged Role Administrator or Global Administrator). It works in
// Microsoft's public cloud; elsewhere, without a subscription, and in a tenant that does not offer one of the permissions
// (a template cannot leave it out), onboard.sh does the same with az alone.
extension microsoftGraphV1

@description('Unique name of the application: the same name again updates the same application.')
param uniqueName string

@description('Name that people see.')
param displayName string

@description('Issuer of your cluster\'s service account tokens; empty when scans sign in with a certificate.')
param issuer string = ''

@description('system:serviceaccount:<namespace>:<service account>')
param subject string = ''

@description('Audience of the token that a scan shows.')
param audience string = 'api://AzureADTokenExchange'

@description('Public certificate (DER, base64) when scans sign in with one. The key stays where it was made.')
param certificate string = ''

@description('True when several tenants of yours consent to one application.')
param multiTenant bool = false

var microsoftGraph = '00000003-0000-0000-c000-000000000000'
var permissions = [
  'Application.Read.All'
  'User.Read.All'
  'RoleManagement.Read.Directory'
  'Organization.Read.All'
  'GroupMember.Read.All'
  'AuditLog.Read.All'
  'AgentIdentity.Read.All'
  'AgentIdentityBlueprint.Read.All'
  'Directory.Read.All'
  'Policy.Read.All'
]

resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: microsoftGraph
}

resource application 'Microsoft.Graph/applications@v1.0' = {
  uniqueName: uniqueName
  displayName: displayName
  signInAudience: multiTenant ? 'AzureADMultipleOrgs' : 'AzureADMyOrg'
  // The administrator's roles are in the sign-in that proves consent; see `kubectl sv0 consent entra --help`.
  groupMembershipClaims: multiTenant ? 'DirectoryRole' : 'None'
  publicClient: {
    redirectUris: multiTenant ? ['http://localhost/sv0-consent'] : []
  }
  servicePrincipalLockConfiguration: {
    isEnabled: true
    allProperties: true
  }
  keyCredentials: empty(certificate) ? [] : [
    {
      displayName: 'SecurityV0 scan'
      type: 'AsymmetricX509Cert'
      usage: 'Verify'
      key: certificate
    }
  ]
  requiredResourceAccess: [
    {
      resourceAppId: microsoftGraph
      resourceAccess: map(
        filter(graph.appRoles, role => contains(permissions, role.value) && contains(role.allowedMemberTypes, 'Application')),
        role => { id: role.id, type: 'Role' }
      )
    }
  ]

  resource trust 'federatedIdentityCredentials@v1.0' = if (!empty(issuer)) {
    name: '${application.uniqueName}/securityv0-scan'
    description: 'Scans of SecurityV0 in your Kubernetes cluster'
    issuer: issuer
    subject: subject
    audiences: [audience]
  }
}

resource principal 'Microsoft.Graph/servicePrincipals@v1.0' = {
  appId: application.appId
}

resource grants 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [for permission in permissions: {
  appRoleId: filter(graph.appRoles, role => role.value == permission && contains(role.allowedMemberTypes, 'Application'))[0].id
  principalId: principal.id
  resourceId: graph.id
}]

output clientId string = application.appId
output servicePrincipalId string = principal.id
