/* SPDX-License-Identifier: MIT */
/*
 * Inside of loaders. loader.c: what the host sees. batch.c: where batches live and how one is made. prefetch.c: the
 * ring of batches that background threads fill. resident.c: batches made on the device instead.
 */
#ifndef RNI_LOADER_H
#define RNI_LOADER_H

#include "base/error.h"
#include "data/data.h"
#include "data/dataset.h"
#include "data/mix.h"
#include "data/transform.h"
#include "tensor/tensor.h"
#include <sys/types.h>

enum { RNI_MAX_WORKERS = 256, RNI_MAX_PREFETCH = 1024 };

typedef struct rni_resident rni_resident; /* resident.h: a dataset in device memory */

/* A batch, and what it is to hold. */
typedef struct rni_slot {
    rni_storage *image_storage, *label_storage;
    rn_tensor *images[3], *labels[3]; /* of a full batch; of the shorter last one; of one with images left out */
    void *image_data;                 /* where the workers write: the tensors' memory, or, for a device without */
    void *label_data;                 /* host memory, a copy that is sent when the batch is handed out */
    int64_t *indices;                 /* of its images in the dataset */
    int64_t epoch, batch, count;      /* count: images, less those left out */
    rn_status status;                 /* of making it */
    char message[RNI_MESSAGE_SIZE];
    int ready;                        /* it is made, or has failed */
} rni_slot;

/* A background thread. */
typedef struct rni_worker {
    rn_loader *l;
    pthread_t thread;
    void *scratch;
} rni_worker;

/* Where a loader stands. */
typedef struct rni_position {
    int64_t epoch, batch;
} rni_position;

/*
 * Batches get tickets 0, 1, 2 ... from where the loader stands on; ticket t lives in slot t modulo num_slots.
 * A worker may take a ticket while fewer than `prefetch` are ahead of the one to be handed out next. There is a slot more
 * than that: the batch the host holds.
 */
typedef struct rni_ring {
    pthread_mutex_t mutex;
    pthread_cond_t work, done; /* there may be work for a worker; a worker has finished something */
    int made;                  /* the three above are there */
    rni_worker *workers;
    int32_t started;           /* how many of them run */
    pid_t pid;                 /* of the process that has the threads */
    uint64_t taken, handed;    /* next ticket for a worker; next to hand out */
    rni_position next;         /* of ticket `taken` */
    int running;               /* workers may take tickets: from the first rn_loader_next() on */
    int stopping;
    int32_t busy;              /* workers that make a batch */
    atomic_int cancelled;      /* they are to leave it */
} rni_ring;

struct rn_loader {
    atomic_int references;
    rn_context *ctx; /* counted */
    const rn_allocator *allocator;
    rn_dataset *ds;  /* counted */
    rn_device *dev;
    rn_loader_options options; /* resolved; its pointers are not used later */
    rni_pipeline pipeline;
    int32_t layout;  /* of image tensors */
    rn_dtype dtype;
    int64_t classes; /* of targets that are class probabilities; 0: they are labels */
    rn_dtype target_dtype;
    int64_t images, batches, capacity; /* of an epoch of this shard; largest batch */
    size_t image_bytes;                /* of one view of an image in a batch */
    int64_t image_count;               /* its numbers */
    int64_t *order;                    /* of order_epoch; NULL without shuffling */
    int64_t order_epoch;
    rni_position position;
    rni_slot *slots;
    size_t num_slots;
    void *scratch; /* for batches made in rn_loader_next() */
    rni_resident *resident; /* NULL: the host makes batches */
    rni_ring ring;
};

/* Slots: their tensors and memory. */
rn_status rni_slots_create(rn_loader *l);
void rni_slots_free(rn_loader *l);

/* The tensors for slot->count images. */
rn_status rni_slot_choose(rn_loader *l, rni_slot *slot, rn_tensor **images, rn_tensor **labels);

/* Memory a thread needs to make batches. */
rn_status rni_batch_scratch(const rn_loader *l, void **out);
/* The dataset's index of the shard's i-th image of an epoch. As rni_batch_assign(): not on two threads at once. */
int64_t rni_loader_index(rn_loader *l, int64_t epoch, int64_t i);
/* Says which images a slot is to hold. Not on two threads at once. */
void rni_batch_assign(rn_loader *l, rni_slot *slot, const rni_position *position);
/* Reads and transforms them; the outcome is in slot->status. May run on several threads, with a slot each. */
void rni_batch_make(const rn_loader *l, rni_slot *slot, void *scratch, const atomic_int *cancelled);

/* Starts the threads, idle. On an error none is left. */
rn_status rni_ring_start(rn_loader *l);
/* Waits for the workers, which leave what they do, and ends them. */
void rni_ring_stop(rn_loader *l);
/* RN_E_STATE in a forked child, which has no workers. */
rn_status rni_ring_check(const rn_loader *l);
/* Forgets what was made ahead; it begins anew at the loader's position when the next batch is asked for. */
void rni_ring_rewind(rn_loader *l);
/* The batch at the loader's position, made by the workers; waits for it. */
rn_status rni_ring_next(rn_loader *l, rni_slot **out);

#endif
