{{- define "muxi-api.labels" -}}
app.kubernetes.io/name: muxi-api
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What pods are found by, where nothing but that may stand. */}}
{{- define "muxi-api.selector" -}}
matchLabels:
  {{- include "muxi-api.labels" . | nindent 2 }}
{{- end }}

{{/* Stands under the name. */}}
{{- define "muxi-api.metadata" -}}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "muxi-api.labels" . | nindent 2 }}
  helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{/* The settings with what follows from other values. */}}
{{- define "muxi-api.config" -}}
{{ toYaml (merge (deepCopy .Values.config) (dict "api" (dict "public_url" (printf "https://%s" .Values.host)))) }}
{{- end }}

{{/* The pods of a namespace may reach the server: (list . "ingress"). */}}
{{- define "muxi-api.let-in" -}}
{{- $ := index . 0 }}
{{- $part := index . 1 }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $.Release.Name }}-{{ $part }}
  {{- include "muxi-api.metadata" $ | nindent 2 }}
spec:
  podSelector:
    {{- include "muxi-api.selector" $ | nindent 4 }}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels: { kubernetes.io/metadata.name: {{ (index $.Values $part).from }} }
      ports: [{ port: http, protocol: TCP }]
{{- end }}
