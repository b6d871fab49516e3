{{/*
A Deployment and a Service of a model server. root; component; port; image; args; health (path); spec (its values); env; mounts; volumes.
*/}}
{{- define "simpleia.modelServer" -}}
{{- $name := printf "%s-%s" (include "simpleia.fullname" .root) .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- include "simpleia.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  replicas: {{ .spec.replicas }}
  selector:
    matchLabels: {{- include "simpleia.selector" .root | nindent 6 }}
      app.kubernetes.io/component: {{ .component }}
  template:
    metadata:
      labels: {{- include "simpleia.labels" .root | nindent 8 }}
        app.kubernetes.io/component: {{ .component }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      {{- with .spec.runtimeClassName }}
      runtimeClassName: {{ . }}
      {{- end }}
      securityContext: {{- include "simpleia.podSecurity" .root | nindent 8 }}
      terminationGracePeriodSeconds: 60
      containers:
        - name: {{ .component }}
          image: {{ .spec.image }}
          args: {{- toYaml (concat .args .spec.extraArgs) | nindent 12 }}
          {{- with .env }}
          env: {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - name: http
              containerPort: {{ .port }}
          # Weights of many gigabytes take their time.
          startupProbe:
            httpGet: { path: /health, port: http }
            periodSeconds: 10
            failureThreshold: 180
          livenessProbe:
            httpGet: { path: /health, port: http }
            periodSeconds: 10
            failureThreshold: 6
          readinessProbe:
            httpGet: { path: /health, port: http }
            periodSeconds: 5
          lifecycle:
            preStop:
              sleep:
                seconds: 5
          securityContext: {{- include "simpleia.containerSecurity" .root | nindent 12 }}
          resources: {{- toYaml .spec.resources | nindent 12 }}
          volumeMounts: {{- toYaml .mounts | nindent 12 }}
      volumes: {{- toYaml .volumes | nindent 8 }}
      {{- with .spec.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .spec.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels: {{- include "simpleia.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  ports:
    - name: http
      port: {{ .port }}
      targetPort: http
  selector: {{- include "simpleia.selector" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
{{- end }}
