import { type Element, sequence, text } from './element-writer';

/** Codes that say what a segment is (PS3.16, CID 7150 and the like): SNOMED CT for the organs that models here know. */
const ORGANS: readonly (readonly [pattern: RegExp, code: string, meaning: string])[] = [
  [/spleen/, '78961009', 'Spleen'],
  [/kidney/, '64033007', 'Kidney'],
  [/liver/, '10200004', 'Liver'],
  [/pancreas/, '15776009', 'Pancreas'],
  [/gall ?bladder/, '28231008', 'Gallbladder'],
  [/stomach/, '69695003', 'Stomach'],
  [/lung/, '39607008', 'Lung'],
  [/heart/, '80891009', 'Heart'],
  [/aorta/, '15825003', 'Aorta'],
  [/prostate/, '41216001', 'Prostate'],
  [/brain/, '12738006', 'Brain'],
  [/colon/, '71854001', 'Colon'],
];

const SIDES: readonly (readonly [pattern: RegExp, code: string, meaning: string])[] = [
  [/\bleft\b/, '7771000', 'Left'],
  [/\bright\b/, '24028007', 'Right'],
];

const STRUCTURE = ['123037004', 'Anatomical Structure'] as const;
const TISSUE = ['85756007', 'Tissue'] as const;

/** The item of a code sequence. */
export function codeItem(value: string, scheme: string, meaning: string): Element[] {
  return [text('00080100', 'SH', value), text('00080102', 'SH', scheme), text('00080104', 'LO', meaning)];
}

/** Category and type of a segment called `label`, and its side where the label names one. */
export function segmentCodes(label: string): Element[] {
  const lower = label.toLowerCase().replaceAll('_', ' ');
  const organ = ORGANS.find(([pattern]) => pattern.test(lower));
  const side = SIDES.find(([pattern]) => pattern.test(lower));
  const [, code, meaning] = organ ?? [undefined, ...TISSUE];
  const category = organ === undefined ? TISSUE : STRUCTURE;
  const modifier = organ && side ? [sequence('00620011', codeItem(side[1], 'SCT', side[2]))] : [];
  return [
    sequence('00620003', codeItem(category[0], 'SCT', category[1])),
    sequence('0062000f', [...codeItem(code, 'SCT', meaning), ...modifier]),
  ];
}
