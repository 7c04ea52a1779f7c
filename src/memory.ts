import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8';

/** How often it is looked how large the heap is, in milliseconds. */
const lookEvery = 200;
const megabyte = 1_048_576;
/** From this size on the heap of young objects grows no more, but for what it doubles between two looks. */
const youngEnough = 16 * megabyte;
/** From this size on, which only thousands of connected devices bring about, the whole heap is swept sooner. */
const large = 96 * megabyte;
/**
 * How much it may grow, in percent of what is in use, before it is swept again. Of a large one V8 would let it double and more;
 * a small one it sweeps for every tenth, which is every ten seconds of moderate load, and calls meanwhile take 50 ms longer.
 */
const growth = { small: 100, large: 30 };

/**
 * Keeps the heap of young objects as it is: loading makes garbage, for which it would grow by 30 MB that it then keeps.
 * @returns how to let it grow for calls, within bounds: ten thousand devices that come at once would leave behind some
 * hundred megabytes that nobody needs.
 */
export function holdYoungHeap(): () => void {
  letYoungHeapDouble(false);
  return () => boundHeap(growth.small);
}

/**
 * Has what is garbage be swept before it takes several times the memory of what is in use.
 * @param percent how much a small heap may grow between sweeps.
 */
export function boundHeap(percent: number): void {
  const look = (): void => {
    letYoungHeapDouble(sizeOfYoungHeap() < youngEnough);
    const { used_heap_size: used } = getHeapStatistics();
    setFlagsFromString(`--heap-growing-percent=${used > large ? growth.large : percent}`);
  };
  look();
  setInterval(look, lookEvery).unref();
}

function letYoungHeapDouble(may: boolean): void {
  setFlagsFromString(`--semi-space-growth-factor=${may ? 2 : 1}`);
}

function sizeOfYoungHeap(): number {
  return getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')!.space_size;
}
