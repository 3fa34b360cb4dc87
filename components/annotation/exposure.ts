/** How an annotation server may be reached; the rules between the settings, which no single one breaks. */
export interface Exposure {
  readonly certificateArn?: string;
  readonly hostName?: string;
  readonly hostedZoneId?: string;
  readonly insecureHttp?: boolean;
  readonly dataAreDeidentified?: boolean;
}

export interface ExposureFault {
  readonly path: keyof Exposure;
  readonly rule: string;
}

export function exposureFaults(exposure: Exposure): ExposureFault[] {
  const { certificateArn, hostName, hostedZoneId, insecureHttp = false, dataAreDeidentified = false } = exposure;
  const faults: ExposureFault[] = [];
  const fault = (path: keyof Exposure, rule: string) => faults.push({ path, rule });
  if (insecureHttp && !dataAreDeidentified) {
    fault(
      'insecureHttp',
      'sends images in clear: it needs dataAreDeidentified: true beside it, or a certificate instead',
    );
  }
  if (!insecureHttp && certificateArn === undefined) {
    fault('certificateArn', 'is needed for HTTPS; or say insecureHttp: true and dataAreDeidentified: true');
  }
  if (!insecureHttp && hostName === undefined) {
    fault(
      'hostName',
      "is needed for HTTPS: clients compare it with the certificate, which cannot carry the load balancer's own name",
    );
  }
  if (insecureHttp && certificateArn !== undefined) {
    fault('certificateArn', 'and insecureHttp exclude each other; remove one');
  }
  if (hostedZoneId !== undefined && hostName === undefined) {
    fault('hostedZoneId', 'needs a host name, the record that is made in it');
  }
  return faults;
}
