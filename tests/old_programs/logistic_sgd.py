"""Multi-class logistic regression by stochastic gradient descent, in the style of 2010."""

import numpy
import theano
import theano.tensor as T


class LogisticRegression(object):
    def __init__(self, input, n_in, n_out):
        self.W = theano.shared(value=numpy.zeros((n_in, n_out), dtype=theano.config.floatX), name="W", borrow=True)
        self.b = theano.shared(value=numpy.zeros((n_out,), dtype=theano.config.floatX), name="b", borrow=True)
        self.p_y_given_x = T.nnet.softmax(T.dot(input, self.W) + self.b)
        self.y_pred = T.argmax(self.p_y_given_x, axis=1)
        self.params = [self.W, self.b]
        self.input = input

    def negative_log_likelihood(self, y):
        return -T.mean(T.log(self.p_y_given_x)[T.arange(y.shape[0]), y])

    def errors(self, y):
        if y.ndim != self.y_pred.ndim:
            raise TypeError("y should have the same shape as self.y_pred", ("y", y.type, "y_pred", self.y_pred.type))
        if y.dtype.startswith("int"):
            return T.mean(T.neq(self.y_pred, y))
        raise NotImplementedError()


def shared_dataset(data_xy, borrow=True):
    data_x, data_y = data_xy
    shared_x = theano.shared(numpy.asarray(data_x, dtype=theano.config.floatX), borrow=borrow)
    shared_y = theano.shared(numpy.asarray(data_y, dtype=theano.config.floatX), borrow=borrow)
    return shared_x, T.cast(shared_y, "int32")


def make_data(n, n_in=12, n_out=3, seed=0):
    rng = numpy.random.RandomState(seed)
    x = rng.uniform(size=(n, n_in))
    return x, numpy.argmax(numpy.dot(x - 0.5, numpy.random.RandomState(7).normal(size=(n_in, n_out))), axis=1)


def sgd_optimization(learning_rate=0.5, n_epochs=12, batch_size=20):
    train_set_x, train_set_y = shared_dataset(make_data(200))
    valid_set_x, valid_set_y = shared_dataset(make_data(60, seed=1))
    n_train_batches = train_set_x.get_value(borrow=True).shape[0] // batch_size
    index = T.lscalar()
    x = T.matrix("x")
    y = T.ivector("y")
    classifier = LogisticRegression(input=x, n_in=12, n_out=3)
    cost = classifier.negative_log_likelihood(y)
    validate_model = theano.function([], classifier.errors(y), givens={x: valid_set_x, y: valid_set_y})
    g_W = T.grad(cost=cost, wrt=classifier.W)
    g_b = T.grad(cost=cost, wrt=classifier.b)
    updates = [(classifier.W, classifier.W - learning_rate * g_W), (classifier.b, classifier.b - learning_rate * g_b)]
    train_model = theano.function(
        inputs=[index],
        outputs=cost,
        updates=updates,
        givens={
            x: train_set_x[index * batch_size : (index + 1) * batch_size],
            y: train_set_y[index * batch_size : (index + 1) * batch_size],
        },
    )
    costs = [[float(train_model(i)) for i in range(n_train_batches)] for _ in range(n_epochs)]
    return costs, float(validate_model()), [p.get_value() for p in classifier.params]


if __name__ == "__main__":
    costs, error, params = sgd_optimization()
    print("first %f last %f validation error %f %%" % (costs[0][0], costs[-1][-1], error * 100.0))
