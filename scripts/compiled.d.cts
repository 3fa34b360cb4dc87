export const DIST: string;
export const ROOT: string;
export function isCurrent(): boolean;
