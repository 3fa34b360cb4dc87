/** Everything that the report of a run shows; the page is a pure function of it. */
export interface ReportData {
  readonly title: string;
  /** True when the images are phantoms: the page then says that the figures mean nothing for patients. */
  readonly synthetic: boolean;
  readonly strategy: string;
  readonly seed: number;
  readonly sites: readonly { readonly site: string; readonly trainingCases: number; readonly heldOutCases: number }[];
  readonly rounds: readonly ReportRound[];
  /** Mean Dice of each model on each site's held-out cases; the global model is the last row. */
  readonly matrix: readonly { readonly model: string; readonly dice: readonly (number | undefined)[] }[];
  readonly scan: ReportScan;
  readonly seconds: number;
  readonly modelDigest: string;
  readonly modelBytes: number;
  readonly peakRssBytes: readonly { readonly process: string; readonly bytes: number }[];
  /** What a person types into a shell; it serves the model at {@link slicerUrl}. */
  readonly serveCommand: string;
  /** What a person enters in 3D Slicer. */
  readonly slicerUrl: string;
  /** Where a server is up already, for as long as the program that made the report stays. */
  readonly slicerUrlNow?: string;
  readonly maskFile: string;
}

export interface ReportRound {
  readonly round: number;
  /** In the order of {@link ReportData.sites}; none when a site did not report. */
  readonly dice: readonly (number | undefined)[];
  readonly meanDice: number | undefined;
  readonly loss: number | undefined;
  readonly seconds: number;
  readonly bytesToSites: number;
  readonly bytesFromSites: number;
}

/** The held-out scan that was segmented through the annotation server. */
export interface ReportScan {
  readonly name: string;
  readonly dice: number;
  /** Seconds of the request, upload and download included. */
  readonly seconds: number;
  /** Self-contained pictures (data URLs) with truth and prediction drawn over the scan. */
  readonly slices: readonly {
    readonly plane: string;
    readonly url: string;
    readonly width: number;
    readonly height: number;
  }[];
}

/** Mean of the values that are there. */
export function meanOf(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value): value is number => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((sum, value) => sum + value, 0) / known.length;
}
