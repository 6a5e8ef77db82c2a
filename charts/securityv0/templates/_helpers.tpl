{{- /* The image of every program; admission compares with exactly this text. */ -}}
{{- define "securityv0.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "securityv0.labels" -}}
app.kubernetes.io/name: securityv0
app.kubernetes.io/part-of: securityv0
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "securityv0.managerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:securityv0-manager
{{- end -}}

{{- define "securityv0.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "securityv0.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "securityv0.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "securityv0.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The names of the estates' namespaces as a CEL list. */ -}}
{{- define "securityv0.estateList" -}}
[{{- range $i, $estate := .Values.estates }}{{ if $i }}, {{ end }}'{{ $estate.namespace }}'{{- end }}]
{{- end -}}

{{- /* Refuses values that the schema cannot refuse. */ -}}
{{- define "securityv0.check" -}}
{{- $seen := dict -}}
{{- range .Values.estates -}}
{{- if eq .namespace $.Release.Namespace -}}
{{- fail (printf "estates: %s is the operator's own namespace; use a namespace of its own for each estate" .namespace) -}}
{{- end -}}
{{- if hasKey $seen .namespace -}}
{{- fail (printf "estates: %s is listed twice; list each namespace once" .namespace) -}}
{{- end -}}
{{- $_ := set $seen .namespace true -}}
{{- end -}}
{{- if and .Values.scan.allowMetadataEndpoint (ne (len .Values.estates) 1) -}}
{{- fail (printf "scan.allowMetadataEndpoint needs exactly one estate, and %d are listed: the node's identity must not be shared between tenants; list one estate, or set it to false" (len .Values.estates)) -}}
{{- end -}}
{{- if and (ne .Values.store.backend "filesystem") (not .Values.store.bucket) -}}
{{- fail (printf "store.backend is %s: set store.bucket to the bucket that keeps the snapshots" .Values.store.backend) -}}
{{- end -}}
{{- if and .Values.network.trustedCA (not (regexMatch "^(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\\s]+-----END CERTIFICATE-----\\s*)+$" .Values.network.trustedCA)) -}}
{{- fail "network.trustedCA must be PEM certificates and nothing else: from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, without comments or keys" -}}
{{- end -}}
{{- end -}}

{{- /* The manager's configuration file. */ -}}
{{- define "securityv0.config" -}}
operatorNamespace: {{ .Release.Namespace }}
image: {{ include "securityv0.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
imagePullSecrets: {{ toJson .Values.image.pullSecrets }}
{{- $namespaces := list }}
{{- range .Values.estates }}{{ $namespaces = append $namespaces .namespace }}{{ end }}
estates: {{ toJson $namespaces }}
storeUrl: https://securityv0-store.{{ .Release.Namespace }}.svc:8443
limits:
  parallelScans: {{ int64 .Values.limits.parallelScans }}
  scanDeadlineSeconds: {{ int64 .Values.limits.scanDeadlineSeconds }}
  maxRequests: {{ int64 .Values.limits.maxRequests }}
  maxFindings: {{ int64 .Values.limits.maxFindings }}
evaluation:
  quietSeconds: {{ int64 .Values.evaluation.quietSeconds }}
  maxDelaySeconds: {{ int64 .Values.evaluation.maxDelaySeconds }}
network:
  trustedCA: {{ toJson .Values.network.trustedCA }}
  privateHosts: {{ toJson .Values.network.privateHosts }}
  proxy: {{ toJson .Values.network.proxy }}
  hostAliases: {{ toJson .Values.network.hostAliases }}
scan:
  allowMetadataEndpoint: {{ .Values.scan.allowMetadataEndpoint }}
scanPods:
  resources: {{ toJson .Values.scanPods.resources }}
  nodeSelector: {{ toJson .Values.scanPods.nodeSelector }}
  tolerations: {{ toJson .Values.scanPods.tolerations }}
evaluatePods:
  resources: {{ toJson .Values.evaluatePods.resources }}
{{- end -}}

{{- define "securityv0.egressDns" -}}
# DNS.
- to: {{- toYaml .Values.networkPolicy.dns.to | nindent 4 }}
  ports: {{- toYaml .Values.networkPolicy.dns.ports | nindent 4 }}
{{- end -}}

{{- define "securityv0.egressApiServer" -}}
{{- $api := .Values.networkPolicy.apiServer -}}
# The API server{{ if not $api.cidrs }}: no selector can name it, so any address on its ports (narrow it with networkPolicy.apiServer.cidrs){{ end }}.
- ports:
    {{- range $api.ports }}
    - {protocol: TCP, port: {{ int64 . }}}
    {{- end }}
  {{- with $api.cidrs }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . | quote }}}
    {{- end }}
  {{- end }}
{{- end -}}
