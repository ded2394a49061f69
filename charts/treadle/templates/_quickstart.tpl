{{/* The data of a Secret, base64: as the cluster has it, else what was made: (list "treadle-store" $made $) */}}
{{- define "treadle.data" -}}
{{- $found := lookup "v1" "Secret" (index . 2).Values.quickstart.namespace (index . 0) -}}
{{- if $found -}}
{{ toJson $found.data }}
{{- else -}}
{{- $data := dict -}}
{{- range $key, $value := index . 1 }}{{ $_ := set $data $key (b64enc $value) }}{{ end -}}
{{ toJson $data }}
{{- end -}}
{{- end }}

{{- define "treadle.quickstartLabels" -}}
app.kubernetes.io/name: treadle-storage
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
