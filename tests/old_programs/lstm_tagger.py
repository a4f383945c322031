"""A tagger of sentences in the style of 2014: embeddings of windows of words, an LSTM with scan, tags of every word."""

from collections import OrderedDict

import numpy as np
import theano
import theano.tensor as T

floatX = theano.config.floatX


def make_sentences(n=40, words=12, seed=0):
    """Sentences in which the tag of a word depends on the first word of its sentence."""
    rng = np.random.RandomState(seed)
    sentences = []
    for _ in range(n):
        words_of = rng.randint(0, words, size=rng.randint(4, 9))
        sentences.append((words_of, np.asarray((words_of + words_of[0]) % 2, dtype="int32")))
    return sentences


def contextwin(sentence, win):
    padded = win // 2 * [-1] + list(sentence) + win // 2 * [-1]
    return [padded[i : i + win] for i in range(len(sentence))]


class Tagger(object):
    def __init__(self, n_hidden, n_classes, n_words, n_embedded, win, seed=2):
        rng = np.random.RandomState(seed)

        def matrix(name, *shape):
            return theano.shared(name=name, value=rng.uniform(-0.3, 0.3, shape).astype(floatX))

        self.emb = matrix("embeddings", n_words + 1, n_embedded)  # the last row is that of the padding
        self.W = matrix("W", win * n_embedded, 4 * n_hidden)
        self.U = matrix("U", n_hidden, 4 * n_hidden)
        self.b = matrix("b", 4 * n_hidden)
        self.V = matrix("V", n_hidden, n_classes)
        self.c = matrix("c", n_classes)
        self.h0 = matrix("h0", n_hidden)
        self.params = [self.emb, self.W, self.U, self.b, self.V, self.c, self.h0]
        idxs = T.imatrix("idxs")
        x = self.emb[idxs].reshape((idxs.shape[0], n_embedded * win))
        y = T.ivector("y")

        def part(v, k):
            return v[k * n_hidden : (k + 1) * n_hidden]

        def step(x_t, h_tm1, c_tm1):
            pre = x_t + T.dot(h_tm1, self.U)
            i, f, o = [T.nnet.sigmoid(part(pre, k)) for k in range(3)]
            c_t = f * c_tm1 + i * T.tanh(part(pre, 3))
            h_t = o * T.tanh(c_t)
            return [h_t, c_t, T.nnet.softmax(T.dot(h_t, self.V) + self.c)]

        (_, _, s), _ = theano.scan(
            fn=step,
            sequences=T.dot(x, self.W) + self.b,
            outputs_info=[self.h0, T.zeros_like(self.h0), None],
            n_steps=x.shape[0],
        )
        p_y_given_x = s[:, 0, :]
        nll = -T.mean(T.log(p_y_given_x)[T.arange(x.shape[0]), y])
        rate = T.scalar("rate")
        gradients = T.grad(nll, self.params)
        updates = OrderedDict((p, p - rate * g) for p, g in zip(self.params, gradients))
        self.classify = theano.function(inputs=[idxs], outputs=T.argmax(p_y_given_x, axis=1))
        self.train_one = theano.function(inputs=[idxs, y, rate], outputs=nll, updates=updates)
        norms = T.sqrt((self.emb**2).sum(axis=1)).dimshuffle(0, "x")
        self.normalize = theano.function(inputs=[], updates={self.emb: self.emb / norms})


def train(epochs=12, win=3, rate=0.3):
    sentences = make_sentences()
    net = Tagger(12, 2, 12, 6, win)
    costs = []
    for _ in range(epochs):
        total = 0.0
        for words, tags in sentences:
            windows = [np.asarray(w).astype("int32") for w in contextwin(words, win)]
            total += net.train_one(windows, tags, rate)
            net.normalize()
        costs.append(total / len(sentences))
    right = [net.classify(np.asarray(contextwin(w, win), dtype="int32")) == t for w, t in sentences]
    return costs, np.concatenate(right).mean(), net.emb.get_value()


if __name__ == "__main__":
    print(train()[:2])
