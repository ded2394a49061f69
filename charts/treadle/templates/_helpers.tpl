{{/* The name of the operator's own objects. */}}
{{- define "treadle.operator" -}}
{{ printf "%s-operator" (.Release.Name | trunc 54 | trimSuffix "-") }}
{{- end }}

{{/* The labels by which a Deployment finds its pods: they never change. */}}
{{- define "treadle.selector" -}}
app.kubernetes.io/name: treadle
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "treadle.labels" -}}
{{ include "treadle.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* By the component, the operator's rights are told from people's. */}}
{{- define "treadle.operatorLabels" -}}
{{ include "treadle.labels" . }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "treadle.tag" -}}
{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The image of a program: (list "operator" $) */}}
{{- define "treadle.image" -}}
{{- $root := index . 1 -}}
{{ printf "%s/treadle-%s:%s" $root.Values.image.registry (index . 0) (include "treadle.tag" $root) }}
{{- end }}

{{/* Both are the same for every pod of Treadle; see control/podspec.py. */}}
{{- define "treadle.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "treadle.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
readOnlyRootFilesystem: true
runAsNonRoot: true
{{- end }}

{{/* What the operator may do in a namespace that it watches: each verb is one that operator/treadle/control uses. */}}
{{- define "treadle.rules" -}}
- apiGroups: [treadle.dev]
  resources: [datasources, modeldeployments, monitors]
  verbs: [get, list, watch]
- apiGroups: [treadle.dev]
  resources: [trainingjobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [treadle.dev]
  resources: [datasources/status, modeldeployments/status, monitors/status, trainingjobs/status]
  verbs: [patch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
# A Service is wished as long as its ModelDeployment is there, and then goes with it.
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
# Patched for an annotation that hastens a ConfigMap; made and deleted by Jobs and Deployments alone.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
# A namespace's UID is the prefix of what it stores; a ServiceAccount's label lends it to runs.
- apiGroups: [""]
  resources: [namespaces, serviceaccounts]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}
