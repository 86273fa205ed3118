"""Trains, quantises, measures and documents the expert packages of nanogrid."""
