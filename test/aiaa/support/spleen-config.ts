const image = { keys: 'image' };
const pred = { keys: 'pred' };

/** As models of Clara Train 4.x come with it. */
export const SPLEEN_CONFIG = {
  version: '4',
  type: 'segmentation',
  labels: ['spleen'],
  description: 'Segments the spleen in CT',
  pre_transforms: [
    { name: 'monai.transforms.LoadImaged', args: image },
    { name: 'monai.transforms.AddChanneld', args: image },
    { name: 'monai.transforms.Spacingd', args: { ...image, pixdim: [1.5, 1.5, 2.0], mode: 'bilinear' } },
    {
      name: 'monai.transforms.ScaleIntensityRanged',
      args: { ...image, a_min: -57, a_max: 164, b_min: 0.0, b_max: 1.0, clip: true },
    },
    { name: 'monai.transforms.ToTensord', args: image },
  ],
  inference: {
    input: 'image',
    output: 'pred',
    AIAA: {
      name: 'aiaa.inference.PyTorchInference',
      args: { scanning_window: true, batch_size: 1, roi: [160, 160, 160], overlap: 0.6, device: 'cuda' },
    },
    meta_data: { padding: 20, 'internal name': 'spleen-net' },
  },
  post_transforms: [
    { name: 'monai.transforms.Activationsd', args: { ...pred, softmax: true } },
    { name: 'monai.transforms.AsDiscreted', args: { ...pred, argmax: true } },
    { name: 'monai.transforms.KeepLargestConnectedComponentd', args: { ...pred, applied_labels: [1] } },
    { name: 'monai.transforms.SqueezeDimd', args: { ...pred, dim: 0 } },
    { name: 'monai.transforms.ToNumpyd', args: pred },
    { name: 'aiaa.transforms.Restored', args: { ...pred, ref_image: 'image' } },
    { name: 'aiaa.transforms.ExtremePointsd', args: { ...pred, result: 'result', points: 'points' } },
    { name: 'aiaa.transforms.BoundingBoxd', args: { ...pred, result: 'result', bbox: 'bbox' } },
  ],
  writer: { name: 'aiaa.utils.Writer', args: { image: 'pred', json: 'result' } },
};
