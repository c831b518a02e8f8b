/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Implements sysfilter.h with libseccomp. */
#include <errno.h>
#include <seccomp.h>

#include "sysfilter.h"

static bool is_in(const struct sysfilter_list *list, int call)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->calls[i] == call)
			return true;
	return false;
}

/* Whether an argument or a list before this one decides about the call. */
static bool is_decided(const struct sysfilter *filter, size_t before, int call)
{
	for (size_t i = 0; i < filter->n_arguments; i++)
		if (filter->arguments[i].call == call)
			return true;
	for (size_t i = 0; i < before; i++)
		if (is_in(&filter->lists[i], call))
			return true;
	return false;
}

static int add_list(scmp_filter_ctx context, const struct sysfilter *filter, size_t index)
{
	const struct sysfilter_list *list = &filter->lists[index];
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->n; i++)
		if (!is_decided(filter, index, list->calls[i]))
			r = seccomp_rule_add(context, list->action, list->calls[i], 0);
	return r;
}

static int add_argument(scmp_filter_ctx context, const struct sysfilter_argument *a)
{
	const struct scmp_arg_cmp equal = {.arg = a->index, .op = SCMP_CMP_MASKED_EQ, .datum_a = a->mask,
					   .datum_b = a->value};
	const struct scmp_arg_cmp other = {.arg = a->index, .op = SCMP_CMP_NE, .datum_a = a->value};

	return seccomp_rule_add(context, a->action, a->call, 1, a->mask ? equal : other);
}

int sysfilter_load(const struct sysfilter *filter)
{
	scmp_filter_ctx context = seccomp_init(filter->otherwise);
	int r;

	if (!context)
		return -ENOMEM;
	r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, filter->other_abi);
	if (r == 0)
		r = seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0 && filter->threads)
		r = seccomp_attr_set(context, SCMP_FLTATR_CTL_TSYNC, 1);
	for (size_t i = 0; r == 0 && i < sizeof(filter->lists) / sizeof(filter->lists[0]); i++)
		r = add_list(context, filter, i);
	for (size_t i = 0; r == 0 && i < filter->n_arguments; i++)
		r = add_argument(context, &filter->arguments[i]);
	if (r == 0)
		r = seccomp_load(context);
	seccomp_release(context);
	return r;
}
