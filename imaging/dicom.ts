/** DICOM series, read, and segmentations of them, written: what other rooms import. */
export { isDicom } from './dicom/data-set';
export { type DicomVolume, type ReadSeriesOptions, readDicomSeries } from './dicom/read-series';
export { encodeSegmentation, type SegmentationOptions, writeSegmentation } from './dicom/segmentation';
export { type SeriesReference, seriesReferenceSchema } from './dicom/series-reference';
