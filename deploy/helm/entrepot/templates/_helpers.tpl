{{- define "entrepot.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "entrepot.headless" -}}
{{- printf "%s-pods" (include "entrepot.fullname" . | trunc 58 | trimSuffix "-") -}}
{{- end -}}

{{- define "entrepot.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "entrepot.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "entrepot.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "entrepot.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "entrepot.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "entrepot.scheme" -}}
{{- if .Values.tls.secretName }}HTTPS{{ else }}HTTP{{ end -}}
{{- end -}}

{{/* mirrors.yml: what was given, else what the chart has, and the certificate of tls.secretName. */}}
{{- define "entrepot.config" -}}
{{- $config := deepCopy (default (.Files.Get "mirrors.yml" | fromYaml) .Values.config) -}}
{{- if .Values.tls.secretName -}}
{{- $files := dict "certificate" "/run/entrepot/tls/tls.crt" "key" "/run/entrepot/tls/tls.key" -}}
{{- $_ := set $config "tls" (list $files) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "entrepot.probe" -}}
httpGet:
  path: {{ .path }}
  port: registry
  scheme: {{ include "entrepot.scheme" .root }}
{{- end -}}
