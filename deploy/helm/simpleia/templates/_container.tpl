{{- define "simpleia.envFrom" -}}
- configMapRef:
    name: {{ include "simpleia.fullname" . }}
{{- with .Values.extraEnvFromSecret }}
- secretRef:
    name: {{ . }}
{{- end }}
{{- end }}

{{- define "simpleia.env" -}}
- name: SECRET_KEY
  valueFrom: {{- include "simpleia.secretRef" (dict "root" . "from" .Values.secretKey "key" "secret-key") | nindent 4 }}
{{- if include "simpleia.isShared" . }}
- name: DATABASE_URL
  valueFrom: {{- include "simpleia.secretRef" (dict "root" . "from" .Values.database "key" "database-url") | nindent 4 }}
{{- end }}
{{- if or .Values.redis.url .Values.redis.existingSecret }}
- name: REDIS_URL
  valueFrom: {{- include "simpleia.secretRef" (dict "root" . "from" .Values.redis "key" "redis-url") | nindent 4 }}
{{- end }}
{{- end }}

{{- define "simpleia.mounts" -}}
- name: data
  mountPath: /data
- name: models
  mountPath: /models
- name: tmp
  mountPath: /tmp
{{- if include "simpleia.hasProviders" . }}
- name: providers
  mountPath: /data/config/providers.json
  subPath: providers.json
  readOnly: true
{{- end }}
{{- end }}

{{- define "simpleia.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if .Values.gpu.enabled -}}
{{- $limits := merge (dict .Values.gpu.resource (int .Values.gpu.count)) ($resources.limits | default dict) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end }}
