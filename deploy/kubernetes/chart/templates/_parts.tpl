{{- /* What the DaemonSet and the one that takes everything away have in common. */ -}}

{{- define "ripstop.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "ripstop.placement" -}}
{{- with .Values.imagePullSecrets -}}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{ end -}}
priorityClassName: {{ .Values.priorityClassName }}
nodeSelector: {{- toYaml .Values.nodeSelector | nindent 2 }}
{{- with .Values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
tolerations: {{- toYaml .Values.tolerations | nindent 2 }}
{{- end }}

{{- define "ripstop.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
{{- with .Values.seLinuxOptions }}
seLinuxOptions: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "ripstop.volumes" -}}
- name: run
  hostPath:
    path: /run/ripstop
    type: DirectoryOrCreate
- name: state
  hostPath:
    path: /var/lib/ripstop
    type: DirectoryOrCreate
- name: bpf
  hostPath:
    path: /sys/fs/bpf
    type: Directory
- name: cni-binaries
  hostPath:
    path: {{ .Values.cni.binaries }}
    type: DirectoryOrCreate
- name: cni-configuration
  hostPath:
    path: {{ .Values.cni.configuration }}
    type: DirectoryOrCreate
- name: temporary
  emptyDir:
    sizeLimit: 16Mi
{{- end }}
