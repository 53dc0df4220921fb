// Words that must be the same on every screen.

/** What the number called variety is. A look is something else: a group of pictures that are alike, with a letter. */
export const VARIETY =
  'How many of the pictures of one prompt count as different: 1 if all are alike, as many as were made if no two are. Vendi score: the exponential of the entropy of their likeness (Friedman and Dieng 2023). Looks A, B, C are groups of pictures that are alike.';
