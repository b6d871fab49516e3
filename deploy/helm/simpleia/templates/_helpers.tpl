{{- define "simpleia.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "simpleia.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "simpleia.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "simpleia.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "simpleia.selector" -}}
app.kubernetes.io/name: {{ include "simpleia.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Without the chart's version: pods whose template changes with it would start anew for nothing. */}}
{{- define "simpleia.labels" -}}
{{ include "simpleia.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: simpleia
{{- end }}

{{- define "simpleia.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "simpleia.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end }}

{{- define "simpleia.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) (ternary .Values.gpu.tagSuffix "" .Values.gpu.enabled) -}}
{{- end -}}
{{- end }}

{{- define "simpleia.isShared" -}}
{{- if or .Values.database.url .Values.database.existingSecret }}true{{ end -}}
{{- end }}

{{- define "simpleia.isMany" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicaCount) 1) }}true{{ end -}}
{{- end }}

{{/* What the pod security standard "restricted" asks of a pod, and of a container with a read-only root besides. */}}
{{- define "simpleia.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "simpleia.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where a secret value comes from: a secret that is there, or the chart's own. */}}
{{- define "simpleia.secretRef" -}}
secretKeyRef:
  name: {{ .from.existingSecret | default (include "simpleia.fullname" .root) }}
  key: {{ ternary .from.existingSecretKey .key (not (empty .from.existingSecret)) }}
{{- end }}

{{- define "simpleia.hasProviders" -}}
{{- if or .Values.providers .Values.routes .Values.vllm.enabled .Values.llamaServer.enabled }}true{{ end -}}
{{- end }}

{{/* providers.json: what the values say, and the model servers of this release. */}}
{{- define "simpleia.providers" -}}
{{- $full := include "simpleia.fullname" . -}}
{{- $providers := .Values.providers -}}
{{- if .Values.vllm.enabled -}}
{{- $model := dict "name" .Values.vllm.model "context_size" (int .Values.vllm.contextSize) -}}
{{- $providers = append $providers (dict "name" "vllm" "type" "custom" "base_urls" (list (printf "http://%s-vllm:8000/v1" $full)) "models" (list $model)) -}}
{{- end -}}
{{- if .Values.llamaServer.enabled -}}
{{- $model := dict "name" .Values.llamaServer.name "context_size" (int .Values.llamaServer.contextSize) -}}
{{- $providers = append $providers (dict "name" "llama-server" "type" "custom" "base_urls" (list (printf "http://%s-llama-server:8080/v1" $full)) "models" (list $model)) -}}
{{- end -}}
{{- dict "providers" $providers "routes" .Values.routes | toPrettyJson -}}
{{- end }}

{{- define "simpleia.check" -}}
{{- if include "simpleia.isMany" . -}}
{{- if not (include "simpleia.isShared" .) -}}
{{- fail "More than one replica needs database.url or database.existingSecret: SQLite is for one." -}}
{{- end -}}
{{- if not (or .Values.redis.url .Values.redis.existingSecret) -}}
{{- fail "More than one replica needs redis.url or redis.existingSecret: limits and logouts hold for all of them." -}}
{{- end -}}
{{- range $name := list "data" "models" -}}
{{- $volume := (index $.Values $name).persistence -}}
{{- if and $volume.enabled (not $volume.existingClaim) (ne $volume.accessMode "ReadWriteMany") -}}
{{- fail (printf "More than one replica needs %s.persistence.accessMode=ReadWriteMany (or an existingClaim that all can mount)." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.localOnly (or .Values.vllm.enabled .Values.llamaServer.enabled .Values.providers) -}}
{{- fail "localOnly keeps prompts in the pod, so it rules out vllm, llamaServer and providers." -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- range .Values.ingress.hosts -}}
{{- if and (contains "*" .) (not (regexMatch "^\\*\\.[^*.]+\\.[^*]+$" .)) -}}
{{- fail (printf "ingress.hosts: a * stands for the first part of a name with two more, as in *.example.com, and nowhere else: %s is neither for Kubernetes nor for ALLOWED_HOSTS." .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.gpu.enabled .Values.image.digest (not .Values.image.tag) -}}
{{- fail "With gpu.enabled and image.digest, say with image.tag which CUDA image the digest is." -}}
{{- end -}}
{{- end }}
