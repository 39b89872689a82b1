/** What an operator does about the objects of a version that are all there and not as they were made. */
export const HINT_OF_ALTERED =
  'They may have been sealed with, so they are kept. `p11kms token objects` says what departs: mend that and it is finished, or destroy one of the two objects and it is rolled back.'
