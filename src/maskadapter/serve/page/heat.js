/* An activation map over the photo in gray. */

// From dark to light, so that it reads in gray and with any color vision. Source: matplotlib's magma, six of it.
const HEAT = [[0, 0, 4], [59, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];
const PHOTO_SHARE = 0.35;

/** Draw into `canvas`: photo and map are images of the same shape; the map is gray, and white is its highest weight. */
export function drawHeat(canvas, photo, map, width) {
  canvas.width = width;
  canvas.height = Math.max(1, Math.round((width * photo.height) / photo.width));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pixelsOf = (image) => {
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  };
  const weights = pixelsOf(map).data;
  const image = pixelsOf(photo);
  for (let byte = 0; byte < weights.length; byte += 4) {
    const [red, green, blue] = image.data.subarray(byte, byte + 3);
    const gray = 0.299 * red + 0.587 * green + 0.114 * blue;
    const position = (weights[byte] / 255) * (HEAT.length - 1);
    const low = Math.min(Math.floor(position), HEAT.length - 2);
    for (let channel = 0; channel < 3; channel++) {
      const color = HEAT[low][channel] + (position - low) * (HEAT[low + 1][channel] - HEAT[low][channel]);
      image.data[byte + channel] = PHOTO_SHARE * gray + (1 - PHOTO_SHARE) * color;
    }
  }
  context.putImageData(image, 0, 0);
}
