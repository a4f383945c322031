/* Kept forms of stored operands: what a library call makes of an operand before it multiplies (packed panels, transformed
 * filters) is kept between calls for as long as the operand does not change.
 *
 * A stored operand is a shared variable, whose `turn` counts the writes to it (symc/runtime/turns.py), or a constant. The
 * calls that read it hold its turn, so that it is not written to meanwhile: a form made for the count of writes that a
 * call sees is right for the whole call. While an array of the variable is lent, so that somebody may write to it without
 * telling, nothing is kept.
 *
 * An operand of the calls in a loop that the loop does not change is a constant until the loop ends. Its handle belongs to one
 * call of one function at a time, and the next loop renews it.
 */
#ifndef SYMC_STORED_H
#define SYMC_STORED_H

#include "symc_rt.h"

enum { SYMC_FORM_NUMBERS = 12 };

/* What a form is made of and how: the address of the operand's first element, a number for the code that makes the form,
 * and everything else on which its contents depend. */
typedef struct {
    const void *from;
    int64_t kind, numbers[SYMC_FORM_NUMBERS];
} symc_form_key;

/* Memory for a form. Unless it is `ready`, the caller fills it and then calls symc_form_made. */
typedef struct {
    void *memory;
    int ready;
    void *kept; /* internal: NULL for scratch memory */
    int64_t version;
    int busy; /* another thread makes the form just now: a call must compute the same bits without it */
} symc_form;

/* The form of an operand, in kept memory if `stored` is not NULL, nobody else makes it just now, and there is room for it;
 * otherwise in the scratch memory `slot` of the calling thread, or nowhere (NULL) if `slot` is negative. */
SYMC_API symc_form symc_form_of(symc_stored *stored, const symc_form_key *key, size_t bytes, int slot);

/* Marks the form as valid for the calls that follow. */
SYMC_API void symc_form_made(const symc_form *form);

/* The kinds of forms. */
enum { FORM_PANELS = 1, FORM_TRANSPOSED, FORM_WINOGRAD, FORM_BLOCKS, FORM_PAIRED_BLOCKS, FORM_PAIRED_PLANES, FORM_PAIRED_PANELS,
       FORM_WINOGRAD_PARTS, FORM_LONG_PANELS, FORM_PIXEL_FILTERS, FORM_PAIRED_ROWS, FORM_DENSE };

#endif
