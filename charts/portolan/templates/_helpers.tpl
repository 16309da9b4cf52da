{{/* Names, labels, image references and the rules of the operator's roles. */}}

{{- define "portolan.selectorLabels" -}}
app.kubernetes.io/name: portolan-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "portolan.labels" -}}
{{ include "portolan.selectorLabels" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: portolan
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* An image reference from {repository, tag, digest}; call with (dict "image" .Values.image "context" $). */}}
{{- define "portolan.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ default .context.Chart.AppVersion .image.tag }}
{{- end -}}
{{- end }}

{{/* What the operator may do in a namespace; the reasons are in operator/README.md, "Permissions". One list serves the ClusterRole and
     the Roles. */}}
{{- define "portolan.rules" -}}
- apiGroups: [portolan.dev]
  resources: [registries]
  verbs: [get, list, watch]
- apiGroups: [portolan.dev]
  resources: [registries/status]
  verbs: [patch]
- apiGroups: [portolan.dev]
  resources: [registries/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [get, list, watch, create, patch]
- apiGroups: [""]
  resources: [serviceaccounts, services]
  verbs: [get, list, watch, create, patch]
# delete: one that somebody made immutable is only repaired by another in its place.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
# delete: only who may delete a claim may make it owned, which is what deletionPolicy Delete does.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
