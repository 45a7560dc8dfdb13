"""What the models here have in common: embeddings, and stacks of layers of one width."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

from translator.config.schema import Config, ModelConfig
from translator.models import blocks
from translator.models.seq2seq import Seq2SeqModel

if TYPE_CHECKING:
    from typing_extensions import Self


class StackedModel(Seq2SeqModel):
    """Embeddings of source, target and output; a subclass adds the rest in `add_layers`."""

    @classmethod
    def of(
        cls, config: Config, source_vocabulary_size: int, target_vocabulary_size: int, dtype: str
    ) -> Self:
        sizes = source_vocabulary_size, target_vocabulary_size
        return cls(config.model, *sizes, config.data.max_length, dtype)

    def __init__(
        self,
        config: ModelConfig,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        max_length: int,
        dtype: str = "float32",
    ) -> None:
        """max_length: of a source or target, in pieces without its end."""
        super().__init__(name=config.kind, dtype=keras.DTypePolicy(dtype))
        self.config = config
        sizes = source_vocabulary_size, target_vocabulary_size
        self.target_embedding, self.source_embedding, self.output_embedding = blocks.embeddings(
            config, *sizes, self.dtype_policy
        )
        self.add_layers(config, max_length)
        self.build()

    def add_layers(self, config: ModelConfig, max_length: int) -> None:
        """Assign all layers but the embeddings of pieces, in the order that files depend on."""
        raise NotImplementedError

    def build(self, shape: tuple[int | None, ...] | None = None) -> None:
        for layer in self.layers:
            if not layer.built:
                layer.build((None, None, self.config.model_dim))

    @property
    def output_table(self) -> keras.Variable:
        return self.output_embedding.table
