/**
 * What the broker says to a device that was taken out, once a signature has shown that it is the device: the one refusal
 * after which an agent need not ask again.
 */
export const noLongerEnrolled = 'the device is no longer enrolled';
