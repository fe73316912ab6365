/*
 * emulink: carries Ethernet frames between pairs of interfaces as a network link would.
 *
 * One process, one thread, one epoll loop, many links.  Each link joins two interfaces (the
 * inner ends of two veth pairs) through AF_PACKET sockets; each of its two directions has its
 * own delay, loss, rate and so on, changed at run time by text requests on a control socket
 * (SOCK_SEQPACKET, one request and one reply per message; end of file ends the process, so a
 * dead parent never leaves an emulator behind).
 *
 * Why AF_PACKET and not TUN: the kernel stamps a frame when the sender's own system call puts
 * it on the veth.  Delays count from that stamp, so the time this process needs to wake up is
 * absorbed by the delay instead of being added to it.
 *
 * Times are CLOCK_MONOTONIC nanoseconds since the start of the process.  Queue departure times
 * are computed, not waited for (a late wake-up makes one frame late, never the rate wrong).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <math.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define NAME_SIZE 48
#define BATCH 32
#define FRAME_SIZE 16384
#define MAX_LINKS 256
#define MAX_LIMITERS 64
#define MAX_RULES 8
#define MAX_PATTERN 1024
#define MAX_HELD 400000 /* frames; about 600 MB of full-size ones */
#define REQUEST_SIZE 4096
#define REPLY_SIZE 8192

/* ---------------------------------------------------------------- records */

enum reason { LOSS, QUEUE, DOWN, POWER, MTU, FILTER, OVERRUN, DEVICE, REASONS };
static const char *const reason_names[REASONS] = {
    "loss", "queue", "down", "power", "mtu", "filter", "overrun", "device"};

struct counters {
    uint64_t in_packets, in_bytes, out_packets, out_bytes;
    uint64_t dropped[REASONS];
    uint64_t duplicated, reordered;
    uint64_t late_sum_ns, late_max_ns;
};

struct rng {
    uint64_t s[4];
};

struct rule {
    int protocol; /* -1: any */
    int port;     /* -1: any; else source or destination */
    int dscp;     /* -1: any */
};

struct rules {
    int count;
    struct rule rule[MAX_RULES];
};

struct shape {
    double rate;  /* bit/s, 0: no limit */
    double peak;  /* bit/s while the bucket has tokens, 0: no limit */
    double burst; /* bits in a full bucket, 0: no bucket */
    int64_t queue_bytes;   /* -1: 100 ms at the rate, at least 32 KiB */
    int64_t queue_packets; /* 0: no limit */
    int overhead;          /* bytes added to each IP packet when its time on the wire is counted */
};

struct knobs {
    bool up, powered;
    int64_t delay, jitter;
    bool normal, fifo;
    double loss;
    double ge_p, ge_r, ge_good, ge_bad;
    int64_t drop_every, drop_next;
    int pattern_length;
    char pattern[MAX_PATTERN];
    double duplicate, reorder;
    int64_t reorder_delay;
    int64_t mtu; /* 0: no limit */
    bool mtu_df_only;
    struct rules filter, only;
    struct shape shape;
    int shared; /* index into limiters, -1: the direction's own */
};

struct bucket {
    double free_at, tokens, tokens_at;
};

struct packet;

struct limiter {
    char name[NAME_SIZE];
    bool used;
    struct shape shape;
    struct bucket state;
    struct packet *head, *tail;
    int64_t queued_bytes, queued_packets;
};

struct port {
    int fd;
    int ifindex;
    char device[IF_NAMESIZE];
};

struct direction {
    struct link *link;
    const char *name;
    struct port *from, *to;
    struct knobs knobs;
    struct limiter own;
    struct counters total, logged;
    struct rng loss_rng, jitter_rng, duplicate_rng, reorder_rng;
    bool bad;                /* Gilbert-Elliott state */
    uint64_t nth, pattern_at;
    int64_t last_due;        /* of the last frame that keeps its place */
    int64_t held;
};

struct link {
    bool used;
    char name[NAME_SIZE];
    struct port a, b;
    struct direction up, down; /* up: a to b */
};

struct facts {
    int version, protocol, sport, dport, dscp, id;
    bool df;
    int64_t length; /* of the IP packet */
    unsigned char dst[16];
    unsigned char key[8];
    int key_length;
};

struct packet {
    struct packet *next; /* in its limiter's queue */
    struct direction *direction;
    struct limiter *limiter; /* NULL once it left the queue */
    struct bucket before;    /* state of the limiter before this packet */
    uint64_t order;
    double departure;
    int64_t arrival, real_in, hold, due;
    bool held_back, doomed;
    struct facts facts;
    unsigned length;
    unsigned char frame[];
};

/* ---------------------------------------------------------------- state */

static struct link *links[MAX_LINKS];
static struct limiter limiters[MAX_LIMITERS];
static struct packet **heap;
static size_t heap_count, heap_room;
static uint64_t next_order, seed;
static int64_t stamp_real, stamp_boot; /* of the last line of the truth log, or reply */
static int64_t origin, spin_ns, spin_budget, spin_filled, oversleep, last_sent;
static int epoll_fd, control_fd;
static FILE *truth_file, *packets_file;
static bool packets_on;
static struct port warm = {.fd = -1};
static volatile sig_atomic_t stopping;

static void die(const char *what)
{
    fprintf(stderr, "emulink: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---------------------------------------------------------------- clocks and chance */

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC) - origin;
}

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* One stream per purpose and direction: traffic on one link, or a change of one knob, does not
 * shift the chance of another. */
static void rng_start(struct rng *r, const char *link, const char *direction, const char *purpose)
{
    uint64_t h = seed ^ 1469598103934665603u;
    const char *const parts[3] = {link, direction, purpose};
    for (int i = 0; i < 3; i++) {
        for (const char *p = parts[i]; *p; p++)
            h = (h ^ (unsigned char)*p) * 1099511628211u;
        h = (h ^ 0xff) * 1099511628211u;
    }
    for (int i = 0; i < 4; i++)
        r->s[i] = splitmix(&h);
}

static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static double chance(struct rng *r) /* xoshiro256**, in [0, 1) */
{
    uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return (double)(result >> 11) * 0x1.0p-53;
}

static double normal(struct rng *r)
{
    double u = 1.0 - chance(r), v = chance(r);
    return sqrt(-2.0 * log(u)) * cos(2.0 * M_PI * v);
}

/* ---------------------------------------------------------------- heap of held packets by due */

static bool sooner(const struct packet *a, const struct packet *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

static void sift_down(size_t i)
{
    struct packet *p = heap[i];
    for (;;) {
        size_t c = 2 * i + 1;
        if (c >= heap_count)
            break;
        if (c + 1 < heap_count && sooner(heap[c + 1], heap[c]))
            c++;
        if (!sooner(heap[c], p))
            break;
        heap[i] = heap[c];
        i = c;
    }
    heap[i] = p;
}

static void heap_push(struct packet *p)
{
    if (heap_count == heap_room) {
        heap_room = heap_room ? heap_room * 2 : 1024;
        heap = realloc(heap, heap_room * sizeof *heap);
        if (!heap)
            die("realloc");
    }
    size_t i = heap_count++;
    while (i && sooner(p, heap[(i - 1) / 2])) {
        heap[i] = heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    heap[i] = p;
}

static struct packet *heap_pop(void)
{
    struct packet *p = heap[0];
    heap[0] = heap[--heap_count];
    if (heap_count)
        sift_down(0);
    return p;
}

static void heap_restore(void)
{
    for (size_t i = heap_count / 2; i-- > 0;)
        sift_down(i);
}

/* ---------------------------------------------------------------- what a frame is */

static unsigned be16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

/* key: the bytes that tell one probe from the next (ICMP id and sequence, TCP sequence number,
 * the first bytes of a UDP payload, where STAMP keeps its sequence number). */
static void look_at_payload(struct facts *f, const unsigned char *p, int64_t left)
{
    bool ports = f->protocol == IPPROTO_TCP || f->protocol == IPPROTO_UDP;
    int at = f->protocol == IPPROTO_UDP ? 8 : 4, want = f->protocol == IPPROTO_UDP ? 8 : 4;
    if (ports && left >= 4) {
        f->sport = (int)be16(p);
        f->dport = (int)be16(p + 2);
    }
    if (left > at) {
        f->key_length = (int)(left - at < want ? left - at : want);
        memcpy(f->key, p + at, (size_t)f->key_length);
    }
}

static void look(struct facts *f, const unsigned char *frame, unsigned length)
{
    const unsigned char *ip = frame + ETH_HLEN;
    int64_t left = (int64_t)length - ETH_HLEN;
    memset(f, 0, sizeof *f);
    f->length = left > 0 ? left : 0;
    f->protocol = f->sport = f->dport = f->dscp = -1;
    if (left >= 20 && be16(frame + 12) == ETH_P_IP) {
        int header = (ip[0] & 15) * 4;
        f->version = 4;
        f->dscp = ip[1] >> 2;
        f->id = (int)be16(ip + 4);
        f->df = ip[6] & 0x40;
        f->protocol = ip[9];
        memcpy(f->dst, ip + 16, 4);
        /* A later fragment carries no ports. */
        if (!(be16(ip + 6) & 0x1fff) && left > header)
            look_at_payload(f, ip + header, left - header);
    } else if (left >= 40 && be16(frame + 12) == ETH_P_IPV6) {
        f->version = 6;
        f->dscp = (ip[0] & 15) << 2 | ip[1] >> 6;
        f->df = true; /* IPv6 routers never fragment */
        f->protocol = ip[6];
        memcpy(f->dst, ip + 24, 16);
        look_at_payload(f, ip + 40, left - 40);
    }
}

static bool matches(const struct rules *rules, const struct facts *f)
{
    for (int i = 0; i < rules->count; i++) {
        const struct rule *r = &rules->rule[i];
        if ((r->protocol < 0 || r->protocol == f->protocol) &&
            (r->dscp < 0 || r->dscp == f->dscp) &&
            (r->port < 0 || r->port == f->sport || r->port == f->dport))
            return true;
    }
    return false;
}

/* ---------------------------------------------------------------- logs */

static void log_packet(const struct direction *d, const struct packet *p, const struct facts *f,
                       int64_t real_in, int64_t delay, int64_t real_out, const char *fate)
{
    char key[2 * sizeof f->key + 1] = "", dst[INET6_ADDRSTRLEN] = "";
    if (f->version)
        inet_ntop(f->version == 4 ? AF_INET : AF_INET6, f->dst, dst, sizeof dst);
    for (int i = 0; i < f->key_length; i++)
        snprintf(key + 2 * i, 3, "%02x", f->key[i]);
    fprintf(packets_file,
            "{\"link\":\"%s\",\"dir\":\"%s\",\"fate\":\"%s\",\"in_ns\":%" PRId64
            ",\"due_ns\":%" PRId64 ",\"out_ns\":%" PRId64
            ",\"length\":%" PRId64 ",\"version\":%d,\"protocol\":%d,\"dst\":\"%s\","
            "\"id\":%d,\"sport\":%d,"
            "\"dport\":%d,\"dscp\":%d,\"key\":\"%s\",\"held_back\":%s}\n",
            d->link->name, d->name, fate, real_in, real_in + delay, real_out, f->length,
            f->version, f->protocol, dst, f->id, f->sport, f->dport, f->dscp, key,
            p && p->held_back ? "true" : "false");
}

static void take_stamp(void)
{
    stamp_real = read_clock(CLOCK_REALTIME);
    stamp_boot = read_clock(CLOCK_BOOTTIME);
}

static void log_stamp(const char *kind)
{
    take_stamp();
    fprintf(truth_file, "{\"kind\":\"%s\",\"real_ns\":%" PRId64 ",\"boot_ns\":%" PRId64, kind,
            stamp_real, stamp_boot);
}

static bool is_number(const char *s)
{
    char *end;
    if (!((*s >= '0' && *s <= '9') || *s == '-') || strpbrk(s, "xXnNiI"))
        return false;
    strtod(s, &end);
    return end != s && !*end;
}

static void log_settings(char **pairs, int count)
{
    fprintf(truth_file, ",\"set\":{");
    for (int i = 0; i < count; i++) {
        char *value = strchr(pairs[i], '=');
        const char *quote = is_number(value + 1) ? "" : "\"";
        fprintf(truth_file, "%s\"%.*s\":%s%s%s", i ? "," : "", (int)(value - pairs[i]), pairs[i],
                quote, value + 1, quote);
    }
    fprintf(truth_file, "}}\n");
    fflush(truth_file);
}

static size_t print_counters(char *out, size_t room, const struct direction *d,
                             const struct counters *c)
{
    size_t n = (size_t)snprintf(
        out, room,
        "\"link\":\"%s\",\"dir\":\"%s\",\"in_packets\":%" PRIu64 ",\"in_bytes\":%" PRIu64
        ",\"out_packets\":%" PRIu64 ",\"out_bytes\":%" PRIu64 ",\"duplicated\":%" PRIu64
        ",\"reordered\":%" PRIu64 ",\"held\":%" PRId64 ",\"late_sum_ns\":%" PRIu64
        ",\"late_max_ns\":%" PRIu64,
        d->link->name, d->name, c->in_packets, c->in_bytes, c->out_packets, c->out_bytes,
        c->duplicated, c->reordered, d->held, c->late_sum_ns, c->late_max_ns);
    for (int i = 0; i < REASONS; i++)
        n += (size_t)snprintf(out + n, room - n, ",\"%s\":%" PRIu64, reason_names[i],
                              c->dropped[i]);
    return n;
}

static void log_second(struct direction *d)
{
    char text[1024];
    struct counters delta = d->total;
    delta.in_packets -= d->logged.in_packets;
    delta.in_bytes -= d->logged.in_bytes;
    delta.out_packets -= d->logged.out_packets;
    delta.out_bytes -= d->logged.out_bytes;
    delta.duplicated -= d->logged.duplicated;
    delta.reordered -= d->logged.reordered;
    delta.late_sum_ns -= d->logged.late_sum_ns;
    for (int i = 0; i < REASONS; i++)
        delta.dropped[i] -= d->logged.dropped[i];
    d->total.late_max_ns = 0; /* the worst of each second by itself */
    d->logged = d->total;
    print_counters(text, sizeof text, d, &delta);
    log_stamp("second");
    fprintf(truth_file, ",%s}\n", text);
}

/* ---------------------------------------------------------------- rate limiters */

static struct limiter *limiter_of(struct direction *d)
{
    return d->knobs.shared >= 0 ? &limiters[d->knobs.shared] : &d->own;
}

static void limiter_take(struct limiter *l, struct packet *p, double now)
{
    const struct shape *s = &l->shape;
    struct bucket *b = &l->state;
    double bits = 8.0 * (double)(p->facts.length + s->overhead);
    double start = (double)p->arrival > b->free_at ? (double)p->arrival : b->free_at, end;
    p->before = *b;
    if (s->rate <= 0) {
        end = now;
    } else if (s->burst > 0) {
        end = start + (s->peak > 0 ? bits * 1e9 / s->peak : 0);
        b->tokens += (end - b->tokens_at) * s->rate * 1e-9;
        if (b->tokens > s->burst)
            b->tokens = s->burst;
        if (b->tokens < bits) {
            end += (bits - b->tokens) * 1e9 / s->rate;
            b->tokens = bits;
        }
        b->tokens -= bits;
        b->tokens_at = end;
    } else {
        end = start + bits * 1e9 / s->rate;
    }
    b->free_at = p->departure = end;
}

static void limiter_append(struct limiter *l, struct packet *p)
{
    p->next = NULL;
    p->limiter = l;
    if (l->tail)
        l->tail->next = p;
    else
        l->head = p;
    l->tail = p;
    l->queued_bytes += p->facts.length;
    l->queued_packets++;
}

static void limiter_advance(struct limiter *l, double now)
{
    while (l->head && l->head->departure <= now) {
        struct packet *p = l->head;
        l->head = p->next;
        if (!l->head)
            l->tail = NULL;
        l->queued_bytes -= p->facts.length;
        l->queued_packets--;
        p->limiter = NULL;
    }
}

static bool limiter_full(const struct limiter *l, int64_t length)
{
    const struct shape *s = &l->shape;
    int64_t bytes = s->queue_bytes;
    if (bytes < 0) {
        bytes = (int64_t)(s->rate / 8 / 10);
        bytes = bytes < 32768 ? 32768 : bytes;
    }
    return l->queued_bytes + length > bytes ||
           (s->queue_packets && l->queued_packets >= s->queue_packets);
}

static void keep_order(struct packet *p)
{
    struct direction *d = p->direction;
    p->due = (int64_t)p->departure + p->hold;
    if (p->held_back)
        return;
    if (d->knobs.fifo && p->due < d->last_due)
        p->due = d->last_due;
    if (p->due > d->last_due)
        d->last_due = p->due;
}

/* After a change of rate, or after packets were taken out: works out again when each packet
 * still in the queue leaves it. */
static void limiter_retime(struct limiter *l, double now)
{
    struct packet *p = l->head;
    if (p) {
        l->state = p->before;
        if (p->doomed && l->state.free_at < now)
            l->state.free_at = now;
    }
    l->head = l->tail = NULL;
    l->queued_bytes = l->queued_packets = 0;
    for (size_t i = 0; i < heap_count; i++)
        if (heap[i]->limiter == l)
            heap[i]->direction->last_due = 0;
    for (size_t i = 0; i < heap_count; i++) {
        struct packet *q = heap[i];
        if (q->limiter != l && !q->held_back && q->due > q->direction->last_due)
            q->direction->last_due = q->due;
    }
    while (p) {
        struct packet *next = p->next;
        if (!p->doomed) {
            limiter_take(l, p, now);
            if (p->departure < now)
                p->departure = now;
            limiter_append(l, p);
            keep_order(p);
        }
        p = next;
    }
    heap_restore();
}

/* ---------------------------------------------------------------- a packet's way */

static void count_drop(struct direction *d, const struct packet *p, const struct facts *f,
                       int64_t real_in, enum reason reason)
{
    d->total.dropped[reason]++;
    if (packets_on)
        log_packet(d, p, f, real_in, 0, 0, reason_names[reason]);
}

static bool lost(struct direction *d)
{
    struct knobs *k = &d->knobs;
    bool drop = false;
    if (k->drop_every && ++d->nth % (uint64_t)k->drop_every == 0)
        drop = true;
    if (k->pattern_length && k->pattern[d->pattern_at++ % (uint64_t)k->pattern_length] == 'x')
        drop = true;
    if (k->drop_next) {
        k->drop_next--;
        drop = true;
    }
    if (k->ge_p > 0) {
        d->bad = d->bad ? chance(&d->loss_rng) >= k->ge_r : chance(&d->loss_rng) < k->ge_p;
        drop |= chance(&d->loss_rng) < (d->bad ? k->ge_bad : k->ge_good);
    }
    if (k->loss > 0)
        drop |= chance(&d->loss_rng) < k->loss;
    return drop;
}

static int judge(struct direction *d, const struct facts *f, bool chosen)
{
    const struct knobs *k = &d->knobs;
    if (!k->powered)
        return POWER;
    if (!k->up)
        return DOWN;
    if (matches(&k->filter, f))
        return FILTER;
    if (k->mtu && f->length > k->mtu && (f->df || !k->mtu_df_only))
        return MTU;
    if (chosen && lost(d))
        return LOSS;
    if (heap_count >= MAX_HELD)
        return OVERRUN;
    return -1;
}

static int64_t draw_hold(struct direction *d, bool chosen, bool *held_back)
{
    const struct knobs *k = &d->knobs;
    double jitter = 0;
    int64_t hold;
    if (k->jitter)
        jitter = (double)k->jitter *
                 (k->normal ? normal(&d->jitter_rng) : 2 * chance(&d->jitter_rng) - 1);
    hold = k->delay + (int64_t)jitter;
    hold = hold < 0 ? 0 : hold;
    *held_back = chosen && k->reorder > 0 && chance(&d->reorder_rng) < k->reorder;
    return *held_back ? hold + k->reorder_delay : hold;
}

static void hold_packet(struct direction *d, const unsigned char *frame, unsigned length,
                        const struct facts *f, int64_t arrival, int64_t real_in, bool chosen)
{
    struct limiter *l = limiter_of(d);
    struct packet *p;
    limiter_advance(l, (double)arrival);
    if (l->shape.rate > 0 && limiter_full(l, f->length)) {
        count_drop(d, NULL, f, real_in, QUEUE);
        return;
    }
    p = malloc(sizeof *p + length);
    if (!p)
        die("malloc");
    memset(p, 0, sizeof *p);
    p->direction = d;
    p->facts = *f;
    p->order = next_order++;
    p->arrival = arrival;
    p->real_in = real_in;
    p->length = length;
    memcpy(p->frame, frame, length);
    p->hold = draw_hold(d, chosen, &p->held_back);
    d->total.reordered += p->held_back;
    p->departure = (double)arrival;
    if (l->shape.rate > 0) {
        limiter_take(l, p, (double)arrival);
        limiter_append(l, p);
    }
    keep_order(p);
    d->held++;
    heap_push(p);
}

static void admit(struct direction *d, const unsigned char *frame, unsigned length,
                  int64_t arrival, int64_t real_in)
{
    const struct knobs *k = &d->knobs;
    struct facts f;
    look(&f, frame, length);
    bool chosen = !k->only.count || matches(&k->only, &f);
    d->total.in_packets++;
    d->total.in_bytes += (uint64_t)f.length;
    int reason = judge(d, &f, chosen);
    if (reason >= 0) {
        count_drop(d, NULL, &f, real_in, (enum reason)reason);
        return;
    }
    hold_packet(d, frame, length, &f, arrival, real_in, chosen);
    if (chosen && k->duplicate > 0 && chance(&d->duplicate_rng) < k->duplicate) {
        d->total.duplicated++;
        hold_packet(d, frame, length, &f, arrival, real_in, chosen);
    }
}

static void let_go(struct packet *p)
{
    struct direction *d = p->direction;
    if (p->limiter)
        limiter_advance(p->limiter, p->departure);
    d->held--;
    int64_t real_out = packets_on ? read_clock(CLOCK_REALTIME) : 0, late = now_ns() - p->due;
    if (send(d->to->fd, p->frame, p->length, MSG_DONTWAIT) < 0) {
        count_drop(d, p, &p->facts, p->real_in, DEVICE);
    } else {
        last_sent = p->due;
        d->total.out_packets++;
        d->total.out_bytes += (uint64_t)p->facts.length;
        d->total.late_sum_ns += (uint64_t)(late > 0 ? late : 0);
        if (late > (int64_t)d->total.late_max_ns)
            d->total.late_max_ns = (uint64_t)late;
        if (packets_on)
            log_packet(d, p, &p->facts, p->real_in, p->due - p->arrival, real_out, "forwarded");
    }
    free(p);
}

static void release(void)
{
    /* Bounded, so that a full heap never keeps the sockets from being read. */
    for (int i = 0; i < 4 * BATCH && heap_count && heap[0]->due <= now_ns(); i++)
        let_go(heap_pop());
}

/* A cut link loses what it holds: nothing leaves between the log's "down" and its "up". */
static void flush_direction(struct direction *d, enum reason reason)
{
    size_t kept = 0, gone_count = 0;
    struct packet **gone = malloc((heap_count + 1) * sizeof *gone);
    bool queued[MAX_LIMITERS] = {false};
    double now = (double)now_ns();
    if (!gone)
        die("malloc");
    for (size_t i = 0; i < heap_count; i++) {
        struct packet *p = heap[i];
        if (p->direction != d) {
            heap[kept++] = p;
            continue;
        }
        p->doomed = true;
        gone[gone_count++] = p;
        if (p->limiter && p->limiter != &d->own)
            queued[p->limiter - limiters] = true;
    }
    heap_count = kept;
    limiter_retime(&d->own, now);
    for (int i = 0; i < MAX_LIMITERS; i++)
        if (queued[i])
            limiter_retime(&limiters[i], now);
    heap_restore();
    d->last_due = 0;
    d->held -= (int64_t)gone_count;
    for (size_t i = 0; i < gone_count; i++) {
        count_drop(d, gone[i], &gone[i]->facts, gone[i]->real_in, reason);
        free(gone[i]);
    }
    free(gone);
}

/* ---------------------------------------------------------------- ports */

static void offload_off(int fd, const char *device, uint32_t command)
{
    struct ethtool_value value = {.cmd = command, .data = 0};
    struct ifreq request;
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, device, strlen(device));
    request.ifr_data = (void *)&value;
    /* A device that has no such offload is as good as one that turned it off. */
    if (ioctl(fd, SIOCETHTOOL, &request) < 0 && errno != EOPNOTSUPP)
        die(device);
}

/* Frames must leave the sender's veth as they would appear on a wire: with their checksums, and
 * no longer than the MTU. */
static bool plain_frames(const char *device)
{
    static const uint32_t commands[] = {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO, ETHTOOL_STXCSUM};
    if (strlen(device) >= IF_NAMESIZE || !if_nametoindex(device))
        return false;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        die("socket");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        offload_off(fd, device, commands[i]);
    close(fd);
    return true;
}

static void set_option(int fd, int level, int option, int value)
{
    if (setsockopt(fd, level, option, &value, sizeof value) < 0)
        die("setsockopt");
}

static bool port_open(struct port *port, const char *device)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    if (!plain_frames(device))
        return false;
    memcpy(port->device, device, strlen(device) + 1);
    port->ifindex = address.sll_ifindex = (int)if_nametoindex(device);
    /* Protocol 0 until bound: else frames of all other devices would be queued first. */
    port->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (port->fd < 0)
        die("packet socket");
    set_option(port->fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    set_option(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20);
    set_option(port->fd, SOL_SOCKET, SO_SNDBUFFORCE, 32 << 20);
    set_option(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
    set_option(port->fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
    if (bind(port->fd, (struct sockaddr *)&address, sizeof address) < 0)
        die("bind");
    return true;
}

static int64_t stamp_of(struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec t;
            memcpy(&t, CMSG_DATA(c), sizeof t);
            return t.tv_sec * SECOND + t.tv_nsec;
        }
    return 0;
}

static void admit_stamped(struct direction *d, struct msghdr *message, unsigned length)
{
    int64_t now = now_ns(), real = read_clock(CLOCK_REALTIME), stamp = stamp_of(message);
    int64_t age = real - stamp;
    if (length < ETH_HLEN)
        return;
    /* A step of the wall clock between stamp and reading would move the packet in time. */
    if (age < 0 || age > SECOND)
        age = 0;
    admit(d, message->msg_iov->iov_base, length, now - age, real - age);
}

static int receive_batch(struct direction *d)
{
    static unsigned char frames[BATCH][FRAME_SIZE], control[BATCH][128];
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){.iov_base = frames[i], .iov_len = FRAME_SIZE};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1,
                                              .msg_control = control[i],
                                              .msg_controllen = sizeof control[i]};
    }
    /* ENETDOWN (the device was set down) heals by itself when the device comes back. */
    int count = recvmmsg(d->from->fd, messages, BATCH, MSG_DONTWAIT, NULL);
    for (int i = 0; i < count; i++)
        admit_stamped(d, &messages[i].msg_hdr, messages[i].msg_len);
    return count;
}

static void drain(struct direction *d)
{
    while (receive_batch(d) == BATCH)
        ;
}

static void count_overruns(struct direction *d)
{
    struct tpacket_stats stats;
    socklen_t size = sizeof stats;
    if (getsockopt(d->from->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0) {
        d->total.in_packets += stats.tp_drops;
        d->total.dropped[OVERRUN] += stats.tp_drops;
    }
}

/* ---------------------------------------------------------------- requests */

struct reply {
    char text[REPLY_SIZE];
    size_t length;
};

static bool refuse(struct reply *reply, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(reply->text, sizeof reply->text, format, arguments);
    va_end(arguments);
    reply->length = (size_t)n < sizeof reply->text ? (size_t)n : sizeof reply->text - 1;
    return false;
}

static bool good_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-");
    return n && n < NAME_SIZE && !name[n];
}

static bool parse_rule(struct rule *rule, char *text)
{
    static const struct {
        const char *name;
        int protocol;
    } known[] = {{"icmp", IPPROTO_ICMP}, {"icmp6", 58}, {"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}};
    char *argument = strchr(text, ':');
    int value = -1;
    *rule = (struct rule){-1, -1, -1};
    if (argument) {
        *argument++ = 0;
        value = atoi(argument);
        if (!is_number(argument) || value < 0 || value > 65535)
            return false;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(text, known[i].name)) {
            rule->protocol = known[i].protocol;
            rule->port = value;
            return true;
        }
    if (!strcmp(text, "any"))
        return value < 0;
    if (!strcmp(text, "proto"))
        return (rule->protocol = value) >= 0;
    return !strcmp(text, "dscp") && (rule->dscp = value) >= 0;
}

static bool parse_rules(struct rules *rules, const char *text)
{
    char copy[REQUEST_SIZE], *place = NULL;
    rules->count = 0;
    if (!strcmp(text, "-"))
        return true;
    snprintf(copy, sizeof copy, "%s", text);
    for (char *p = strtok_r(copy, ",", &place); p; p = strtok_r(NULL, ",", &place))
        if (rules->count == MAX_RULES || !parse_rule(&rules->rule[rules->count++], p))
            return false;
    return rules->count > 0;
}

static int find_limiter(const char *name)
{
    for (int i = 0; i < MAX_LIMITERS; i++)
        if (limiters[i].used && !strcmp(limiters[i].name, name))
            return i;
    return -1;
}

static bool parse_pattern(struct knobs *k, const char *text)
{
    size_t n = strlen(text);
    k->pattern_length = 0;
    if (!strcmp(text, "-"))
        return true;
    if (!n || n > MAX_PATTERN || strspn(text, "x.") != n)
        return false;
    k->pattern_length = (int)n;
    memcpy(k->pattern, text, n);
    return true;
}

static bool word_of(const char *value, const char *no, const char *yes, bool *out)
{
    *out = !strcmp(value, yes);
    return *out || !strcmp(value, no);
}

/* Knobs that are words; -1: not one of them, 0: bad value, 1: taken. */
static int set_word(struct knobs *k, const char *key, const char *value)
{
    if (!strcmp(key, "state"))
        return word_of(value, "down", "up", &k->up);
    if (!strcmp(key, "power"))
        return word_of(value, "off", "on", &k->powered);
    if (!strcmp(key, "jitter_model"))
        return word_of(value, "uniform", "normal", &k->normal);
    if (!strcmp(key, "order"))
        return word_of(value, "free", "fifo", &k->fifo);
    if (!strcmp(key, "mtu_df_only"))
        return word_of(value, "0", "1", &k->mtu_df_only);
    if (!strcmp(key, "drop"))
        return parse_rules(&k->filter, value);
    if (!strcmp(key, "only"))
        return parse_rules(&k->only, value);
    if (!strcmp(key, "drop_pattern"))
        return parse_pattern(k, value);
    if (!strcmp(key, "bottleneck")) {
        k->shared = strcmp(value, "-") ? find_limiter(value) : -1;
        return k->shared >= 0 || !strcmp(value, "-");
    }
    return -1;
}

static int set_shape(struct shape *s, const char *key, double v)
{
    if (v < 0 && (strcmp(key, "queue_bytes") || v != -1))
        return 0;
    if (!strcmp(key, "rate_bps"))
        s->rate = v;
    else if (!strcmp(key, "peak_bps"))
        s->peak = v;
    else if (!strcmp(key, "burst_bytes"))
        s->burst = v * 8;
    else if (!strcmp(key, "queue_bytes"))
        s->queue_bytes = (int64_t)v;
    else if (!strcmp(key, "queue_packets"))
        s->queue_packets = (int64_t)v;
    else if (!strcmp(key, "overhead_bytes"))
        s->overhead = (int)v;
    else
        return -1;
    return 1;
}

static int set_count(struct knobs *k, const char *key, double v)
{
    const struct {
        const char *key;
        int64_t *to;
    } counts[] = {{"delay_ns", &k->delay},     {"jitter_ns", &k->jitter},
                  {"drop_every", &k->drop_every}, {"drop_next", &k->drop_next},
                  {"reorder_delay_ns", &k->reorder_delay}, {"mtu", &k->mtu}};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (!strcmp(key, counts[i].key)) {
            *counts[i].to = (int64_t)v;
            return v >= 0 && v < 9e18;
        }
    return -1;
}

static int set_probability(struct knobs *k, const char *key, double v)
{
    const struct {
        const char *key;
        double *to;
    } odds[] = {{"loss", &k->loss},         {"burst_start", &k->ge_p}, {"burst_end", &k->ge_r},
                {"loss_in_good", &k->ge_good}, {"loss_in_bad", &k->ge_bad},
                {"duplicate", &k->duplicate}, {"reorder", &k->reorder}};
    for (size_t i = 0; i < sizeof odds / sizeof *odds; i++)
        if (!strcmp(key, odds[i].key)) {
            *odds[i].to = v;
            return v >= 0 && v <= 1;
        }
    return -1;
}

static int set_knob(struct knobs *k, const char *key, const char *value)
{
    int taken = set_word(k, key, value);
    if (taken >= 0)
        return taken;
    if (!is_number(value))
        return 0;
    double v = strtod(value, NULL);
    if ((taken = set_shape(&k->shape, key, v)) < 0 && (taken = set_count(k, key, v)) < 0)
        taken = set_probability(k, key, v);
    return taken;
}

static bool same_shape(const struct shape *a, const struct shape *b)
{
    return a->rate == b->rate && a->peak == b->peak && a->burst == b->burst &&
           a->queue_bytes == b->queue_bytes && a->queue_packets == b->queue_packets &&
           a->overhead == b->overhead;
}

static void limiter_reshape(struct limiter *l, const struct shape *shape)
{
    double now = (double)now_ns();
    if (same_shape(&l->shape, shape))
        return;
    limiter_advance(l, now);
    bool refill = shape->burst != l->shape.burst;
    l->shape = *shape;
    if (refill) { /* a new bucket starts full */
        l->state.tokens = shape->burst;
        l->state.tokens_at = now;
        if (l->head) { /* what waits is served from the new bucket */
            l->head->before.tokens = shape->burst;
            l->head->before.tokens_at = now;
        }
    }
    limiter_retime(l, now);
}

static void adopt(struct direction *d, const struct knobs *k)
{
    struct knobs *old = &d->knobs;
    if (k->ge_p != old->ge_p || k->ge_r != old->ge_r)
        d->bad = false;
    d->nth = d->pattern_at = 0;
    *old = *k;
    limiter_reshape(&d->own, &k->shape);
    if (!k->powered)
        flush_direction(d, POWER);
    else if (!k->up)
        flush_direction(d, DOWN);
}

static struct link *find_link(const char *name)
{
    for (int i = 0; i < MAX_LINKS; i++)
        if (links[i] && !strcmp(links[i]->name, name))
            return links[i];
    return NULL;
}

static void drain_all(void)
{
    for (int i = 0; i < MAX_LINKS; i++)
        if (links[i]) {
            drain(&links[i]->up);
            drain(&links[i]->down);
        }
}

static bool parse_pairs(struct knobs *k, char **pairs, int count, struct reply *reply)
{
    for (int i = 0; i < count; i++) {
        char key[64], *value = strchr(pairs[i], '=');
        if (!value || value - pairs[i] >= (long)sizeof key)
            return refuse(reply, "%s: want knob=value", pairs[i]);
        snprintf(key, sizeof key, "%.*s", (int)(value - pairs[i]), pairs[i]);
        int taken = set_knob(k, key, value + 1);
        if (taken <= 0)
            return refuse(reply, taken ? "%s: no such knob" : "%s: bad value", pairs[i]);
    }
    if (k->shared >= 0 && k->shape.rate > 0)
        return refuse(reply, "bottleneck and rate_bps exclude each other");
    return true;
}

static bool request_set(char **words, int count, struct reply *reply)
{
    struct link *l = count > 3 ? find_link(words[1]) : NULL;
    if (!l)
        return refuse(reply, "set: want LINK up|down|both KNOB=VALUE..., of a known link");
    bool up = !strcmp(words[2], "up"), down = !strcmp(words[2], "down");
    bool both = !strcmp(words[2], "both");
    struct knobs for_up = l->up.knobs, for_down = l->down.knobs;
    if (!up && !down && !both)
        return refuse(reply, "%s: want up, down or both", words[2]);
    if (((up || both) && !parse_pairs(&for_up, words + 3, count - 3, reply)) ||
        ((down || both) && !parse_pairs(&for_down, words + 3, count - 3, reply)))
        return false;
    /* What was sent before the request arrived belongs to the old settings. */
    drain_all();
    release();
    if (up || both)
        adopt(&l->up, &for_up);
    if (down || both)
        adopt(&l->down, &for_down);
    log_stamp("change");
    fprintf(truth_file, ",\"link\":\"%s\",\"dir\":\"%s\"", l->name, words[2]);
    log_settings(words + 3, count - 3);
    return true;
}

static bool request_bottleneck(char **words, int count, struct reply *reply)
{
    struct knobs scratch = {.shared = -1};
    if (count < 3 || !good_name(words[1]))
        return refuse(reply, "bottleneck: want NAME KNOB=VALUE...");
    int at = find_limiter(words[1]);
    if (at < 0)
        for (at = 0; at < MAX_LIMITERS && limiters[at].used; at++)
            ;
    if (at == MAX_LIMITERS)
        return refuse(reply, "more than %d bottlenecks", MAX_LIMITERS);
    struct limiter *l = &limiters[at];
    scratch.shape = l->shape;
    if (!l->used)
        scratch.shape.queue_bytes = -1;
    for (int i = 2; i < count; i++) {
        char *value = strchr(words[i], '=');
        if (!value || !is_number(value + 1))
            return refuse(reply, "%s: bad value", words[i]);
        *value = 0;
        int taken = set_shape(&scratch.shape, words[i], strtod(value + 1, NULL));
        *value = '=';
        if (taken <= 0)
            return refuse(reply, "%s: not a knob of a bottleneck, or a bad value", words[i]);
    }
    drain_all();
    release();
    snprintf(l->name, sizeof l->name, "%s", words[1]);
    l->used = true;
    limiter_reshape(l, &scratch.shape);
    log_stamp("bottleneck");
    fprintf(truth_file, ",\"name\":\"%s\"", l->name);
    log_settings(words + 2, count - 2);
    return true;
}

static void direction_start(struct direction *d, struct link *l, const char *name)
{
    d->link = l;
    d->name = name;
    d->knobs = (struct knobs){.up = true, .powered = true, .fifo = true, .ge_bad = 1, .ge_r = 1,
                              .shared = -1, .shape.queue_bytes = -1};
    d->own.shape = d->knobs.shape;
    rng_start(&d->loss_rng, l->name, name, "loss");
    rng_start(&d->jitter_rng, l->name, name, "jitter");
    rng_start(&d->duplicate_rng, l->name, name, "duplicate");
    rng_start(&d->reorder_rng, l->name, name, "reorder");
}

static void watch(struct direction *d)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = d};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, d->from->fd, &event) < 0)
        die("epoll_ctl");
}

static bool request_link(char **words, int count, struct reply *reply)
{
    int at;
    if (count != 4 || !good_name(words[1]) || find_link(words[1]))
        return refuse(reply, "link: want a new NAME and two devices");
    for (at = 0; at < MAX_LINKS && links[at]; at++)
        ;
    if (at == MAX_LINKS)
        return refuse(reply, "more than %d links", MAX_LINKS);
    struct link *l = calloc(1, sizeof *l);
    if (!l)
        die("calloc");
    snprintf(l->name, sizeof l->name, "%s", words[1]);
    if (!port_open(&l->a, words[2]) || !port_open(&l->b, words[3]))
        return refuse(reply, "%s or %s: no such device", words[2], words[3]);
    direction_start(&l->up, l, "up");
    direction_start(&l->down, l, "down");
    l->up.from = l->down.to = &l->a;
    l->up.to = l->down.from = &l->b;
    links[at] = l;
    watch(&l->up);
    watch(&l->down);
    log_stamp("link");
    fprintf(truth_file, ",\"link\":\"%s\"}\n", l->name);
    fflush(truth_file);
    return true;
}

static bool request_plain(char **words, int count, struct reply *reply)
{
    if (count != 2 || !plain_frames(words[1]))
        return refuse(reply, "plain: want one device of this namespace");
    take_stamp();
    return true;
}

static bool request_warm(char **words, int count, struct reply *reply)
{
    if (count != 2 || !port_open(&warm, words[1]))
        return refuse(reply, "warm: want one device of this namespace");
    take_stamp();
    return true;
}

static bool request_count(char **words, int count, struct reply *reply)
{
    struct link *l = count == 2 ? find_link(words[1]) : NULL;
    if (!l)
        return refuse(reply, "count: want a known link");
    drain_all();
    release();
    count_overruns(&l->up);
    count_overruns(&l->down);
    size_t n = (size_t)snprintf(reply->text, sizeof reply->text, "[{");
    n += print_counters(reply->text + n, sizeof reply->text - n, &l->up, &l->up.total);
    n += (size_t)snprintf(reply->text + n, sizeof reply->text - n, "},{");
    n += print_counters(reply->text + n, sizeof reply->text - n, &l->down, &l->down.total);
    n += (size_t)snprintf(reply->text + n, sizeof reply->text - n, "}]");
    reply->length = n;
    take_stamp();
    return true;
}

static bool request_packets(char **words, int count, struct reply *reply)
{
    bool on;
    if (count != 2 || !word_of(words[1], "off", "on", &on))
        return refuse(reply, "packets: want on or off");
    drain_all();
    packets_on = on;
    fflush(packets_file);
    take_stamp();
    return true;
}

static bool request_mark(char **words, int count, struct reply *reply)
{
    if (count != 2 || !good_name(words[1]))
        return refuse(reply, "mark: want one word");
    log_stamp("mark");
    fprintf(truth_file, ",\"name\":\"%s\"}\n", words[1]);
    fflush(truth_file);
    return true;
}

static bool request_sync(char **words, int count, struct reply *reply)
{
    (void)words;
    if (count != 1)
        return refuse(reply, "sync: want no words");
    fflush(packets_file);
    fflush(truth_file);
    take_stamp();
    return true;
}

static bool answer(char *text, struct reply *reply)
{
    static const struct {
        const char *name;
        bool (*serve)(char **words, int count, struct reply *reply);
    } requests[] = {{"set", request_set},         {"bottleneck", request_bottleneck},
                    {"link", request_link},       {"plain", request_plain},
                    {"count", request_count},     {"packets", request_packets},
                    {"mark", request_mark},       {"sync", request_sync},
                    {"warm", request_warm}};
    char *words[64], *place = NULL;
    int count = 0;
    for (char *p = strtok_r(text, " ", &place); p; p = strtok_r(NULL, " ", &place)) {
        if (count == 64)
            return refuse(reply, "more than 64 words");
        words[count++] = p;
    }
    for (size_t i = 0; count && i < sizeof requests / sizeof *requests; i++)
        if (!strcmp(words[0], requests[i].name))
            return requests[i].serve(words, count, reply);
    return refuse(reply, "no such request");
}

static void serve_control(void)
{
    char text[REQUEST_SIZE];
    char full[REPLY_SIZE + 64];
    struct reply reply = {.text = "", .length = 0};
    ssize_t n = recv(control_fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        stopping = 1;
        return;
    }
    if (n < 0)
        return;
    text[n] = 0;
    for (ssize_t i = 0; i < n; i++) /* nothing a caller sends may break the log's lines */
        if (text[i] == '"' || text[i] == '\\' || (text[i] < ' ' && text[i] >= 0))
            text[i] = '?';
    bool good = answer(text, &reply);
    /* The stamp of a change is the one in the truth log. */
    int length = good ? snprintf(full, sizeof full, "ok %" PRId64 " %" PRId64 " %s", stamp_real,
                                 stamp_boot, reply.text)
                      : snprintf(full, sizeof full, "error %s", reply.text);
    if (send(control_fd, full, (size_t)length, MSG_NOSIGNAL) < 0)
        stopping = 1;
}

/* ---------------------------------------------------------------- the loop */

static void each_second(void)
{
    for (int i = 0; i < MAX_LINKS; i++)
        if (links[i]) {
            count_overruns(&links[i]->up);
            count_overruns(&links[i]->down);
            log_second(&links[i]->up);
            log_second(&links[i]->down);
        }
    fflush(truth_file);
    fflush(packets_file);
}

/* Spinning buys precision with CPU; the budget keeps it below a fifth of one core. */
static bool may_spin(int64_t wait, int64_t now)
{
    spin_budget += (now - spin_filled) / 5;
    spin_filled = now;
    if (spin_budget > SECOND / 50)
        spin_budget = SECOND / 50;
    if (wait > spin_ns || spin_budget < wait)
        return false;
    spin_budget -= wait;
    return true;
}

/* After a pause the kernel's sending code has left the caches and the first frame would be some
 * 15 us late; a frame on a spare device brings it back while there is time to spend anyway. */
static bool paused(int64_t target)
{
    return warm.fd >= 0 && target - last_sent > 3000000;
}

static void warm_up(int64_t target)
{
    static const unsigned char frame[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5};
    if (paused(target) && target - now_ns() > 40000)
        (void)!send(warm.fd, frame, sizeof frame, MSG_DONTWAIT);
}

/* How much too late a sleep ends here, near its worst: it rises fast and falls slowly, and tells
 * how much earlier than needed to ask for the end of the next one. */
static void learn_oversleep(int64_t late)
{
    oversleep += late > oversleep ? (late - oversleep) / 4 : (late - oversleep) / 64;
}

static int64_t head_start(int64_t target)
{
    int64_t wanted = oversleep + (paused(target) ? 50000 : 10000);
    return wanted < spin_ns ? wanted : spin_ns;
}

static void serve(struct epoll_event *events, int count)
{
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            receive_batch(events[i].data.ptr);
        else
            serve_control();
    }
}

static void wait_until(int64_t next_log)
{
    struct epoll_event events[2 * BATCH];
    int64_t now = now_ns(), target = next_log;
    bool precise = heap_count && heap[0]->due < next_log;
    if (precise)
        target = heap[0]->due;
    int64_t wait = target - now, early = precise ? head_start(target) : 0;
    if (precise && wait > 0 && wait <= early && may_spin(wait, now)) {
        warm_up(target);
        while (now_ns() < target)
            ;
        return;
    }
    if (wait > early)
        wait -= early;
    wait = wait < 0 ? 0 : wait;
    struct timespec timeout = {.tv_sec = wait / SECOND, .tv_nsec = wait % SECOND};
    int count = epoll_pwait2(epoll_fd, events, 2 * BATCH, &timeout, NULL);
    if (count == 0 && precise && wait > 0)
        learn_oversleep(now_ns() - now - wait);
    serve(events, count);
}

static void run(void)
{
    int64_t next_log = SECOND;
    while (!stopping) {
        release();
        wait_until(next_log);
        if (now_ns() >= next_log) {
            each_second();
            next_log += SECOND;
        }
    }
    drain_all();
    each_second();
    log_stamp("end");
    fprintf(truth_file, "}\n");
    fclose(truth_file);
    fclose(packets_file);
}

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static FILE *open_log(const char *path)
{
    FILE *file = fopen(path, "ae");
    if (!file)
        die(path);
    setvbuf(file, NULL, _IOFBF, 1 << 18);
    return file;
}

static void take_priority(void)
{
    struct sched_param parameter = {.sched_priority = 1};
    /* Best effort: without it the link is only less precise when the machine is busy. */
    sched_setscheduler(0, SCHED_FIFO, &parameter);
    prctl(PR_SET_TIMERSLACK, 1);
}

int main(int argc, char **argv)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, stop = {.sa_handler = on_signal};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (argc != 7) {
        fprintf(stderr, "usage: emulink CONTROL_FD TRUTH PACKETS SEED SPIN_NS PRIORITY\n");
        return 2;
    }
    control_fd = atoi(argv[1]);
    seed = strtoull(argv[4], NULL, 10);
    spin_ns = strtoll(argv[5], NULL, 10);
    /* Ctrl-C is for the parent, which then closes the control socket. */
    sigaction(SIGINT, &ignore, NULL);
    sigaction(SIGTERM, &stop, NULL);
    truth_file = open_log(argv[2]);
    packets_file = open_log(argv[3]);
    origin = read_clock(CLOCK_MONOTONIC);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, control_fd, &event) < 0)
        die("epoll");
    if (atoi(argv[6]))
        take_priority();
    log_stamp("start");
    fprintf(truth_file, ",\"seed\":%" PRIu64 "}\n", seed);
    fflush(truth_file);
    run();
    return 0;
}
