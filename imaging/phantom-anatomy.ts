import { deriveSeed, type RandomSource, seededRandom } from '../base/random';

/**
 * The abdomen of one synthetic patient: which organs, where, how dense. Positions and sizes are fractions of the field of
 * view: `left` 0 at the patient's right edge and 1 at the left edge, `back` 0 in front and 1 behind, `down` 0 at the top
 * slice and 1 at the lowest. Densities are Hounsfield units of a portal-venous CT.
 */

export type Fractions = readonly [left: number, back: number, down: number];

export interface Organ {
  readonly name: OrganName;
  readonly form: 'ellipsoid' | 'cylinder';
  readonly centre: Fractions;
  readonly radii: Fractions;
  /** Rotation in the axial plane, radians, from left towards back. */
  readonly turn: number;
  readonly hu: number;
}

export type OrganName =
  | 'lung'
  | 'diaphragm'
  | 'bowel'
  | 'bowel gas'
  | 'liver'
  | 'gallbladder'
  | 'spleen'
  | 'stomach'
  | 'stomach gas'
  | 'kidney'
  | 'renal pelvis'
  | 'psoas'
  | 'disc'
  | 'vertebra'
  | 'spinal canal'
  | 'spinous process'
  | 'aorta'
  | 'vena cava';

/** An upright elliptic cylinder; `level` 1 is the skin, and inner layers are lower levels of the same quadratic form. */
export interface Trunk {
  readonly radiusLeft: number;
  readonly radiusBack: number;
}

/** Slow changes of density over the body, as beam hardening leaves behind: amplitude in HU, frequencies in radians. */
export interface Shading {
  readonly amplitude: number;
  readonly alongLeft: number;
  readonly alongBack: number;
  readonly phase: number;
}

export interface Anatomy {
  readonly trunk: Trunk;
  /** In painting order: a later organ covers an earlier one. */
  readonly organs: readonly Organ[];
  readonly shading: Shading;
}

export const TISSUE_HU = { air: -1000, fat: -90, muscle: 50, visceral: -50, rib: 500 } as const;

/** Levels of the trunk's quadratic form between the layers of the wall. */
export const WALL = { cavity: 0.74, ribsFrom: 0.76, ribsTo: 0.84, fatFrom: 0.86 } as const;

/**
 * @param seed the patient: the same seed is the same body whatever the scanner's style
 * @param contrast factor on the density of perfused organs, 1 = reference injection
 */
export function drawAnatomy(seed: number, contrast: number): Anatomy {
  const random = seededRandom(deriveSeed('phantom anatomy', seed));
  const between = (low: number, high: number): number => low + (high - low) * random.uniform();
  const trunk = { radiusLeft: 0.47 * between(0.95, 1.05), radiusBack: 0.42 * between(0.95, 1.05) };
  const shading = {
    amplitude: 8,
    alongLeft: 6 * between(2, 5),
    alongBack: 6 * between(2, 5),
    phase: between(0, 6),
  };
  return {
    trunk,
    shading,
    organs: [
      ...lungs(between),
      ...bowel(between, random),
      ...upperOrgans(between, contrast),
      ...kidneys(between, contrast),
      ...spine(between),
      ...vessels(between, contrast),
    ],
  };
}

type Between = (low: number, high: number) => number;

/** The lung bases fill the cavity down to the recesses; the diaphragm rises into them as a dome on either side. */
function lungs(between: Between): Organ[] {
  const rightDome = between(0.08, 0.14);
  const leftDome = between(0.12, 0.18);
  return [
    cylinder('lung', [0.26, 0.5, 0], [0.2, 0.36, 0.24], -830),
    cylinder('lung', [0.74, 0.5, 0], [0.2, 0.36, 0.26], -840),
    ellipsoid('diaphragm', [0.27, 0.48, 0.6], [0.24, 0.4, 0.6 - rightDome], TISSUE_HU.visceral),
    ellipsoid('diaphragm', [0.73, 0.48, 0.6], [0.24, 0.4, 0.6 - leftDome], TISSUE_HU.visceral),
  ];
}

/** Loops in the lower front, some with gas: clutter of many densities far from the spleen. */
function bowel(between: Between, random: RandomSource): Organ[] {
  const loops: Organ[] = [];
  const count = 9 + random.integer(4);
  for (let loop = 0; loop < count; loop += 1) {
    const centre: Fractions = [between(0.25, 0.72), between(0.22, 0.5), between(0.68, 1)];
    const size = between(0.045, 0.075);
    loops.push(ellipsoid('bowel', centre, [size * 1.3, size, size * 1.2], between(15, 45), between(-0.8, 0.8)));
    if (random.uniform() < 0.35) {
      const top: Fractions = [centre[0], centre[1] - size * 0.4, centre[2]];
      loops.push(ellipsoid('bowel gas', top, [size * 0.7, size * 0.45, size * 0.6], -700));
    }
  }
  return loops;
}

function upperOrgans(between: Between, contrast: number): Organ[] {
  const size = between(0.85, 1.15);
  const liverHu = 60 * contrast + between(-8, 8);
  const liver: Fractions = [0.33 + between(-0.03, 0.03), 0.45, 0.45 + between(-0.05, 0.05)];
  const stomach: Fractions = [0.6 + between(-0.03, 0.03), 0.36 + between(-0.03, 0.03), 0.4 + between(-0.05, 0.05)];
  return [
    ellipsoid('liver', liver, [0.22, 0.24, 0.38 * size], liverHu, between(-0.2, 0.2)),
    ellipsoid('liver', [liver[0] + 0.17, liver[1] - 0.1, liver[2] - 0.08], [0.16, 0.1, 0.17 * size], liverHu, 0.2),
    ellipsoid('gallbladder', [liver[0] + 0.08, 0.32, liver[2] + 0.24], [0.035, 0.05, 0.08], between(5, 15), 0.3),
    ellipsoid(
      'spleen',
      [0.74 + between(-0.03, 0.03), 0.56 + between(-0.05, 0.05), 0.55 + between(-0.08, 0.08)],
      [0.095 * between(0.85, 1.2), 0.16 * between(0.85, 1.15), 0.26 * size * between(0.85, 1.15)],
      115 * contrast + between(-10, 10),
      between(-0.3, 0.3),
    ),
    ellipsoid('stomach', stomach, [0.13, 0.12, 0.22], between(-20, 30), between(-0.3, 0.3)),
    // A patient lies on the back, so gas gathers in front.
    ellipsoid('stomach gas', [stomach[0], stomach[1] - 0.06, stomach[2]], [0.07, 0.045, 0.13], -800),
  ];
}

function kidneys(between: Between, contrast: number): Organ[] {
  const right: Fractions = [0.36 + between(-0.02, 0.02), 0.66, 0.75 + between(-0.05, 0.05)];
  const left: Fractions = [0.64 + between(-0.02, 0.02), 0.68, 0.8 + between(-0.05, 0.05)];
  const rightHu = 160 * contrast + between(-15, 15);
  const leftHu = 160 * contrast + between(-15, 15);
  return [
    ellipsoid('psoas', [0.42, 0.71, 0.95], [0.04, 0.05, 0.3], TISSUE_HU.muscle),
    ellipsoid('psoas', [0.58, 0.71, 0.95], [0.04, 0.05, 0.3], TISSUE_HU.muscle),
    ellipsoid('kidney', right, [0.06, 0.07, 0.18], rightHu),
    ellipsoid('renal pelvis', [right[0] + 0.03, right[1], right[2]], [0.025, 0.025, 0.07], -40),
    ellipsoid('kidney', left, [0.06, 0.07, 0.16], leftHu),
    ellipsoid('renal pelvis', [left[0] - 0.03, left[1], left[2]], [0.025, 0.025, 0.06], -40),
  ];
}

function spine(between: Between): Organ[] {
  const bone = between(250, 450);
  const parts: Organ[] = [cylinder('disc', [0.5, 0.72, 0.5], [0.062, 0.062, 1], 95)];
  const levels = 7;
  const first = between(0, 1 / levels);
  for (let level = -1; level < levels; level += 1) {
    const down = first + level / levels + 0.5 / levels;
    parts.push(cylinder('vertebra', [0.5, 0.72, down], [0.065, 0.065, 0.4 / levels], bone));
    parts.push(ellipsoid('spinous process', [0.5, 0.83, down + 0.02], [0.016, 0.045, 0.38 / levels], bone));
  }
  parts.push(cylinder('spinal canal', [0.5, 0.775, 0.5], [0.024, 0.02, 1], 30));
  return parts;
}

function vessels(between: Between, contrast: number): Organ[] {
  return [
    cylinder('aorta', [0.53, 0.61, 0.5], [0.03, 0.03, 1], between(130, 180) * contrast),
    cylinder('vena cava', [0.43, 0.61, 0.5], [0.034, 0.027, 1], between(100, 130) * contrast),
  ];
}

function ellipsoid(name: OrganName, centre: Fractions, radii: Fractions, hu: number, turn = 0): Organ {
  return { name, form: 'ellipsoid', centre, radii, turn, hu };
}

function cylinder(name: OrganName, centre: Fractions, radii: Fractions, hu: number): Organ {
  return { name, form: 'cylinder', centre, radii, turn: 0, hu };
}
